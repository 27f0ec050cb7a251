// Gemma 3: five of six layers see a window and turn by a base of their own; norms before and after
// attention and feed-forward, and of every head of queries and keys.
#include <array>
#include <cmath>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 2> kClasses{"Gemma3ForCausalLM",
                                                   "Gemma3ForConditionalGeneration"};

// query_pre_attn_scalar is the head width in all sizes but the 27B's, where it is the width by heads
// (config.json of google/gemma-3-27b-it), and GGUF files do not carry it.
std::optional<float> scale(const format::Metadata& metadata) {
  if (metadata.integer("gemma3.block_count") != 62) return std::nullopt;
  const auto width = metadata.integer("gemma3.embedding_length").value_or(0);
  const auto heads = metadata.integer("gemma3.attention.head_count").value_or(0);
  if (width == 0 || heads == 0) return std::nullopt;
  return 1.0F / std::sqrt(static_cast<float>(width) / static_cast<float>(heads));
}

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "gemma3") return {};
  return {1, "general.architecture is gemma3"};
}

}  // namespace

extern const Architecture gemma3{
    .name = "gemma3",
    .title = "Gemma 3 (text)",
    .gguf = "gemma3",
    .hugging_face = kClasses,
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
