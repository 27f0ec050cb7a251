// How a family stands in a Hugging Face directory: part of its Architecture. model/hugging_face.h
// makes of such a directory the metadata and tensors that llama.cpp's converter
// (convert_hf_to_gguf.py) writes of it.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace malina::model {

// Where a GGUF file has a tensor of the directory. In both names "{}" is the layer; a second "{}"
// of theirs is an expert, whose tensors are stacked into one.
struct TensorRule {
  std::string_view theirs;  // "model.layers.{}.self_attn.q_proj", without ".weight"
  std::string_view ours;    // "blk.{}.attn_q"
  // Rows of heads whose halves are rotated together. GGUF files of some architectures hold each
  // pair side by side: row 2j + s of a head is its row s * head_width / 2 + j.
  enum class Rows { as_they_are, pairs_of_queries, pairs_of_keys };
  Rows rows = Rows::as_they_are;
  bool bias = false;      // a ".bias" may stand beside ".weight"
  bool optional = false;  // the weight may be absent
  bool single = false;    // in float32, whatever the directory has; vectors always are
};

// What config.json means where it lacks a key: the default of the family's configuration class in
// Transformers. Booleans are 0 and 1.
struct ConfigDefault {
  std::string_view key;
  double value;
};

// Two lists of rules, or of anything else, as one.
template <typename Entry, std::size_t A, std::size_t B>
constexpr std::array<Entry, A + B> joined(const std::array<Entry, A>& first,
                                          const std::array<Entry, B>& second) {
  std::array<Entry, A + B> all{};
  for (std::size_t i = 0; i < A; ++i) all[i] = first[i];
  for (std::size_t i = 0; i < B; ++i) all[A + i] = second[i];
  return all;
}

// Rules that many families share.
inline constexpr std::array kEndRules{
    TensorRule{"model.embed_tokens", "token_embd"},
    TensorRule{"model.norm", "output_norm", TensorRule::Rows::as_they_are, true},
    TensorRule{.theirs = "lm_head", .ours = "output", .optional = true},
};
inline constexpr std::array kNormRules{
    TensorRule{"model.layers.{}.input_layernorm", "blk.{}.attn_norm", TensorRule::Rows::as_they_are,
               true},
    TensorRule{"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm",
               TensorRule::Rows::as_they_are, true},
};
inline constexpr std::array kAttentionRules{
    TensorRule{"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", TensorRule::Rows::as_they_are,
               true},
    TensorRule{"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", TensorRule::Rows::as_they_are,
               true},
    TensorRule{"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", TensorRule::Rows::as_they_are,
               true},
    TensorRule{"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output",
               TensorRule::Rows::as_they_are, true},
};
inline constexpr std::array kPairedAttentionRules{
    TensorRule{"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q",
               TensorRule::Rows::pairs_of_queries, true},
    TensorRule{"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", TensorRule::Rows::pairs_of_keys,
               true},
    kAttentionRules[2],
    kAttentionRules[3],
};
inline constexpr std::array kGatedRules{
    TensorRule{"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    TensorRule{"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    TensorRule{"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
};
// Llama's decoder, with its halves as they are and in pairs.
inline constexpr auto kDecoderRules =
    joined(joined(kEndRules, kNormRules), joined(kAttentionRules, kGatedRules));
inline constexpr auto kPairedDecoderRules =
    joined(joined(kEndRules, kNormRules), joined(kPairedAttentionRules, kGatedRules));

inline constexpr std::array<std::string_view, 1> kPlainBodies{"model."};

struct HuggingFaceForm {
  std::span<const std::string_view> classes = {};  // of config.json's "architectures"
  std::string_view model_type;                     // of config.json of the first of them
  std::span<const TensorRule> tensors = {};
  std::span<const ConfigDefault> defaults = {};
  float norm_offset = 0;  // a norm multiplies by this plus its weight; GGUF files hold the sum
  // The object of config.json that holds the sizes, where it is there; "" for the top.
  std::string_view nested = {};
  // What "model." of the rules may be called; the one that the embedding has is the one of all.
  std::span<const std::string_view> bodies = kPlainBodies;
  std::span<const std::string_view> ignored = {};  // how tensors begin that are not of the text
  // The key of config.json that turns sliding_window on; "" where its presence does.
  std::string_view window_switch = {};
};

}  // namespace malina::model
