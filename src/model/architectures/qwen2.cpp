// Qwen 2 and 2.5: a Llama with biases on queries, keys and values.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Qwen2ForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "qwen2") return {};
  return {1, "general.architecture is qwen2"};
}

}  // namespace

extern const Architecture qwen2{
    .name = "qwen2",
    .title = "Qwen 2 and 2.5",
    .gguf = "qwen2",
    .hugging_face = kClasses,
    .matches = matches,
};

}  // namespace malina::model
