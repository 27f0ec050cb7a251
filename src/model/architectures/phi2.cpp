// Phi-2: attention and feed-forward read the same LayerNorm and are added together; a part of each
// head turns, and every matrix has a bias.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"PhiForCausalLM"};

constexpr TensorRule biased(std::string_view theirs, std::string_view ours) {
  return {.theirs = theirs, .ours = ours, .bias = true};
}
constexpr std::array kRules{
    biased("model.embed_tokens", "token_embd"),
    biased("model.final_layernorm", "output_norm"),
    TensorRule{.theirs = "lm_head", .ours = "output", .bias = true, .optional = true},
    biased("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    kAttentionRules[0],
    kAttentionRules[1],
    kAttentionRules[2],
    biased("model.layers.{}.self_attn.dense", "blk.{}.attn_output"),
    biased("model.layers.{}.mlp.fc1", "blk.{}.ffn_up"),
    biased("model.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
};

// Of PhiConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"layer_norm_eps", 1e-5},
    ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"partial_rotary_factor", 0.5},
    ConfigDefault{"max_position_embeddings", 2048},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "phi2") return {};
  return {1, "general.architecture is phi2"};
}

}  // namespace

extern const Architecture phi2{
    .name = "phi2",
    .title = "Phi-1, Phi-1.5 and Phi-2",
    .gguf = "phi2",
    .hugging_face = {.classes = kClasses,
                     .model_type = "phi",
                     .tensors = kRules,
                     .defaults = kDefaults},
    .norm = Architecture::Norm::layer,
    .parallel = true,
    .feed_forward = {.gate = math::Gate::gelu_tanh, .gated = false},
    .matches = matches,
};

}  // namespace malina::model
