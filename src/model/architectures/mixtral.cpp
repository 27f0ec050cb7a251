// Mixtral: a Mistral whose feed-forward is a mixture of experts. GGUF files call it `llama`.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"MixtralForCausalLM"};

constexpr auto kRules =
    joined(joined(joined(kEndRules, kNormRules), kPairedAttentionRules),
           std::array{
               TensorRule{.theirs = "model.layers.{}.block_sparse_moe.gate",
                          .ours = "blk.{}.ffn_gate_inp",
                          .single = true},
               TensorRule{"model.layers.{}.block_sparse_moe.experts.{}.w1", "blk.{}.ffn_gate_exps"},
               TensorRule{"model.layers.{}.block_sparse_moe.experts.{}.w2", "blk.{}.ffn_down_exps"},
               TensorRule{"model.layers.{}.block_sparse_moe.experts.{}.w3", "blk.{}.ffn_up_exps"},
           });

// Of MixtralConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-5},     ConfigDefault{"rope_theta", 1e6},
    ConfigDefault{"num_key_value_heads", 8}, ConfigDefault{"num_local_experts", 8},
    ConfigDefault{"num_experts_per_tok", 2},
};

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
    .hugging_face = {.classes = kClasses,
                     .model_type = "mixtral",
                     .tensors = kRules,
                     .defaults = kDefaults},
    .experts = true,
    .attention = {.rotary = math::RotaryPairs::interleaved},
    .matches = matches,
};

}  // namespace malina::model
