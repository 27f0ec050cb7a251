// Phi-3: a Llama whose queries, keys and values are one matrix, and gate and up another; its long
// versions turn by two sets of frequencies.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Phi3ForCausalLM"};

constexpr auto kRules =
    joined(joined(kEndRules, kNormRules),
           std::array{
               TensorRule{"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"},
               kAttentionRules[3],
               TensorRule{"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
               TensorRule{"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
           });

// Of Phi3Config in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-5},
    ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"max_position_embeddings", 4096},
    ConfigDefault{"original_max_position_embeddings", 4096},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "phi3") return {};
  return {1, "general.architecture is phi3"};
}

}  // namespace

extern const Architecture phi3{
    .name = "phi3",
    .title = "Phi-3 and Phi-3.5 mini",
    .gguf = "phi3",
    .hugging_face = {.classes = kClasses,
                     .model_type = "phi3",
                     .tensors = kRules,
                     .defaults = kDefaults},
    .matches = matches,
};

}  // namespace malina::model
