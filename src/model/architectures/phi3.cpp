// Phi-3: a Llama whose queries, keys and values are one matrix, and gate and up another; its long
// versions turn by two sets of frequencies.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Phi3ForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "phi3") return {};
  return {1, "general.architecture is phi3"};
}

}  // namespace

extern const Architecture phi3{
    .name = "phi3",
    .title = "Phi-3 and Phi-3.5 mini",
    .gguf = "phi3",
    .hugging_face = kClasses,
    .matches = matches,
};

}  // namespace malina::model
