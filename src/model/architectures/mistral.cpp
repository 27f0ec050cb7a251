// Mistral 7B: a Llama with a sliding window in its first version. GGUF files call it `llama` and do
// not carry the window, so it is inferred from what else is true of Mistral v0.1 alone.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"MistralForCausalLM"};
constexpr std::uint32_t kFirstWindow = 4096;  // config.json of Mistral-7B-v0.1

bool has_mistral_shape(const format::Metadata& metadata) {
  return metadata.integer("llama.embedding_length") == 4096 &&
         metadata.integer("llama.block_count") == 32 &&
         metadata.integer("llama.feed_forward_length") == 14336 &&
         metadata.integer("llama.attention.head_count") == 32 &&
         metadata.integer("llama.attention.head_count_kv") == 8 &&
         metadata.integer("llama.context_length") == 32768 &&
         metadata.integer("llama.expert_count").value_or(0) == 0;
}

// Versions 0.2 and 0.3 have a rotary base of 1,000,000 and no window.
std::optional<std::uint32_t> inferred_window(const format::Metadata& metadata) {
  const bool first = has_mistral_shape(metadata) &&
                     metadata.number("llama.rope.freq_base").value_or(10000) == 10000;
  return first ? std::optional(kFirstWindow) : std::nullopt;
}

// Of MistralConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-6},
    ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"num_key_value_heads", 8},
    ConfigDefault{"sliding_window", 4096},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "llama" || !has_mistral_shape(metadata)) return {};
  return {2, "general.architecture is llama, and the shape is Mistral 7B's"};
}

}  // namespace

extern const Architecture mistral{
    .name = "mistral",
    .title = "Mistral 7B v0.1, v0.2 and v0.3",
    .gguf = "llama",
    .hugging_face = {.classes = kClasses,
                     .model_type = "mistral",
                     .tensors = kPairedDecoderRules,
                     .defaults = kDefaults},
    .attention = {.rotary = math::RotaryPairs::interleaved, .inferred_window = inferred_window},
    .matches = matches,
};

}  // namespace malina::model
