// Qwen 2 and 2.5: a Llama with biases on queries, keys and values.
#include <array>

#include "model/architecture.h"

namespace malina::model {
namespace {

constexpr std::array<std::string_view, 1> kClasses{"Qwen2ForCausalLM"};

// Of Qwen2Config in Transformers.
constexpr std::array kDefaults{
    ConfigDefault{"rms_norm_eps", 1e-6},      ConfigDefault{"rope_theta", 1e4},
    ConfigDefault{"num_key_value_heads", 32}, ConfigDefault{"sliding_window", 4096},
    ConfigDefault{"max_window_layers", 28},
};

Match matches(const format::Metadata& metadata) {
  if (metadata.text("general.architecture") != "qwen2") return {};
  return {1, "general.architecture is qwen2"};
}

}  // namespace

extern const Architecture qwen2{
    .name = "qwen2",
    .title = "Qwen 2 and 2.5",
    .gguf = "qwen2",
    .hugging_face = {.classes = kClasses,
                     .model_type = "qwen2",
                     .tensors = kDecoderRules,
                     .defaults = kDefaults,
                     .window_switch = "use_sliding_window"},
    .matches = matches,
};

}  // namespace malina::model
