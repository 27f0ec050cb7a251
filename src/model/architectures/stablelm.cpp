// StableLM 3B and StableLM 2 1.6B: LayerNorm with biases in Llama's places, and a quarter of each
// head turns. Its 12B, in which attention and feed-forward are parallel, is not among them.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"StableLmForCausalLM"};

// Of StableLmConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"layer_norm_eps", 1e-5},
    ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"partial_rotary_factor", 0.25},
    ConfigDefault{"max_position_embeddings", 4096},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "stablelm") return {};
  if (metadata.boolean("stablelm.use_parallel_residual").value_or(false))
    return {0, "stablelm.use_parallel_residual is true"};
  return {1, "general.architecture is stablelm"};
}

}  // namespace

extern const Architecture stablelm{
    .name = "stablelm",
    .title = "StableLM 3B and StableLM 2 1.6B",
    .gguf = "stablelm",
    .hugging_face = {.classes = kClasses,
                     .model_type = "stablelm",
                     .tensors = kDecoderRules,
                     .defaults = kDefaults},
    .norm = Architecture::Norm::layer,
    .matches = matches,
};

}  // namespace malina::model
