// Gemma 3: five of six layers see a window and turn by a base of their own; norms before and after
// attention and feed-forward, and of every head of queries and keys.
#include <array>
#include <cmath>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 2> kClasses{"Gemma3ForCausalLM",
                                                   "Gemma3ForConditionalGeneration"};

// query_pre_attn_scalar is the head width in all sizes but the 27B's, where it is the width by
// heads (config.json of google/gemma-3-27b-it), and GGUF files do not carry it.
std::optional<float> scale(const format::Metadata& metadata) {
  if (metadata.integer("gemma3.block_count") != 62) return std::nullopt;
  const auto width = metadata.integer("gemma3.embedding_length").value_or(0);
  const auto heads = metadata.integer("gemma3.attention.head_count").value_or(0);
  if (width == 0 || heads == 0) return std::nullopt;
  return 1.0F / std::sqrt(static_cast<float>(width) / static_cast<float>(heads));
}

constexpr auto kRules =
    joined(joined(joined(kEndRules, kAttentionRules), kGatedRules),
           std::array{
               TensorRule{"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
               TensorRule{"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
               TensorRule{"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"},
               TensorRule{"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"},
               TensorRule{"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
               TensorRule{"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
           });
// Of the models that see: the text's tensors stand beside those of images, which are left out.
constexpr std::array<std::string_view, 3> kBodies{"model.", "language_model.model.",
                                                  "model.language_model."};
constexpr std::array<std::string_view, 4> kIgnored{"vision_tower.", "multi_modal_projector.",
                                                   "model.vision_tower.",
                                                   "model.multi_modal_projector."};

// Of Gemma3TextConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-6},        ConfigDefault{"rope_theta", 1e6},
    ConfigDefault{"rope_local_base_freq", 1e4}, ConfigDefault{"num_attention_heads", 8},
    ConfigDefault{"num_key_value_heads", 4},    ConfigDefault{"head_dim", 256},
    ConfigDefault{"vocab_size", 262208},        ConfigDefault{"max_position_embeddings", 131072},
    ConfigDefault{"sliding_window", 4096},      ConfigDefault{"query_pre_attn_scalar", 256},
    ConfigDefault{"tie_word_embeddings", 1},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "gemma3") return {};
  return {1, "general.architecture is gemma3"};
}

}  // namespace

extern const Architecture gemma3{
    .name = "gemma3",
    .title = "Gemma 3 (text)",
    .gguf = "gemma3",
    .hugging_face = {.classes = kClasses,
                     .model_type = "gemma3_text",
                     .tensors = kRules,
                     .defaults = kDefaults,
                     .norm_offset = 1,
                     .nested = "text_config",
                     .bodies = kBodies,
                     .ignored = kIgnored},
    .post_norms = true,
    .scaled_embedding = true,
    .attention = {.query_key_norms = true,
                  .full_every = 6,
                  .window_rotary_base = 10000.0F,
                  .scale = scale},
    .feed_forward = {.gate = math::Gate::gelu_tanh},
    .matches = matches,
};

}  // namespace malina::model
