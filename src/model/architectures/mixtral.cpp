// Mixtral: a Mistral whose feed-forward is a mixture of experts. GGUF files call it `llama`.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"MixtralForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "llama") return {};
  const auto experts = metadata.integer("llama.expert_count");
  if (!experts || *experts == 0) return {};
  return {2, "general.architecture is llama, with experts"};
}

}  // namespace

extern const Architecture mixtral{
    .name = "mixtral",
    .title = "Mixtral 8x7B and 8x22B",
    .gguf = "llama",
    .hugging_face = kClasses,
    .experts = true,
    .attention = {.rotary = math::RotaryPairs::interleaved},
    .matches = matches,
};

}  // namespace malina::model
