// The Llama family: pre-norm RMSNorm, rotary positions, grouped query heads, SiLU-gated
// feed-forward. Llama 2 and 3, CodeLlama, Orca 2, TinyLlama, SmolLM2 and most models that call
// themselves `llama`.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"LlamaForCausalLM"};

// Of LlamaConfig in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-6},
    ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"max_position_embeddings", 2048},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "llama") return {};
  return {1, "general.architecture is llama"};
}

}  // namespace

extern const Architecture llama{
    .name = "llama",
    .title = "Llama 2 and 3, CodeLlama, Orca 2, TinyLlama, SmolLM2",
    .gguf = "llama",
    .hugging_face = {.classes = kClasses,
                     .model_type = "llama",
                     .tensors = kPairedDecoderRules,
                     .defaults = kDefaults},
    // GGUF files of this family hold the query and key rows permuted, so that pairs lie together.
    .attention = {.rotary = math::RotaryPairs::interleaved},
    .matches = matches,
};

}  // namespace malina::model
