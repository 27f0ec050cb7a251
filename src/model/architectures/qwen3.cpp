// Qwen 3: every head of queries and keys is normalised before it turns; heads have a width of their
// own.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Qwen3ForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "qwen3") return {};
  return {1, "general.architecture is qwen3"};
}

}  // namespace

extern const Architecture qwen3{
    .name = "qwen3",
    .title = "Qwen 3",
    .gguf = "qwen3",
    .hugging_face = kClasses,
    .attention = {.query_key_norms = true},
    .matches = matches,
};

}  // namespace malina::model
