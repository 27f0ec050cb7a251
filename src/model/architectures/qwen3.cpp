// Qwen 3: every head of queries and keys is normalised before it turns; heads have a width of their
// own.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Qwen3ForCausalLM"};

constexpr auto kRules =
    joined(kDecoderRules, std::array{
                              TensorRule{"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
                              TensorRule{"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
                          });

// Of Qwen3Config in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-6},      ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"num_key_value_heads", 32}, ConfigDefault{"head_dim", 128},
    ConfigDefault{"sliding_window", 4096},    ConfigDefault{"max_window_layers", 28},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "qwen3") return {};
  return {1, "general.architecture is qwen3"};
}

}  // namespace

extern const Architecture qwen3{
    .name = "qwen3",
    .title = "Qwen 3",
    .gguf = "qwen3",
    .hugging_face = {.classes = kClasses,
                     .model_type = "qwen3",
                     .tensors = kRules,
                     .defaults = kDefaults,
                     .window_switch = "use_sliding_window"},
    .attention = {.query_key_norms = true},
    .matches = matches,
};

}  // namespace malina::model
