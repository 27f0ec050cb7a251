// The Llama family: pre-norm RMSNorm, rotary positions, grouped query heads, SiLU-gated
// feed-forward. Llama 2 and 3, CodeLlama, Orca 2, TinyLlama, SmolLM2 and most models that call
// themselves `llama`.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"LlamaForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "llama") return {};
  return {1, "general.architecture is llama"};
}

}  // namespace

extern const Architecture llama{
    .name = "llama",
    .title = "Llama 2 and 3, CodeLlama, Orca 2, TinyLlama, SmolLM2",
    .gguf = "llama",
    .hugging_face = kClasses,
    // GGUF files of this family hold the query and key rows permuted, so that pairs lie together.
    .attention = {.rotary = math::RotaryPairs::interleaved},
    .matches = matches,
};

}  // namespace malina::model
