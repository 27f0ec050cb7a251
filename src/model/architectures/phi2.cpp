// Phi-2: attention and feed-forward read the same LayerNorm and are added together; a part of each
// head turns, and every matrix has a bias.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"PhiForCausalLM"};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "phi2") return {};
  return {1, "general.architecture is phi2"};
}

}  // namespace

extern const Architecture phi2{
    .name = "phi2",
    .title = "Phi-1, Phi-1.5 and Phi-2",
    .gguf = "phi2",
    .hugging_face = kClasses,
    .norm = Architecture::Norm::layer,
    .parallel = true,
    .feed_forward = {.gate = math::Gate::gelu_tanh, .gated = false},
    .matches = matches,
};

}  // namespace malina::model
