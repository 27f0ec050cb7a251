// A model family as data. There is one transformer; it reads this. Each family is one constant in
// one file of model/architectures, and no other file asks for a family's name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "math/ops/gated_unit.h"
#include "math/ops/rotary.h"
#include "model/hugging_face_form.h"

namespace malina::model {

// How surely a file belongs to a family, and why; the highest wins.
struct Match {
  int certainty = 0;  // 0: not this family; 1: the general form; higher: more specific
  // For `inspect`: "general.architecture is llama". With certainty 0: why a file that bears the
  // family's name is refused all the same; otherwise empty.
  std::string reason;
};

struct Architecture {
  std::string_view name;              // "llama"
  std::string_view title;             // "Llama 2 and 3, CodeLlama, ..."
  std::string_view gguf;              // prefix of its metadata keys
  HuggingFaceForm hugging_face = {};  // of its directories of safetensors

  enum class Norm { rms, layer };
  Norm norm = Norm::rms;
  bool parallel = false;          // attention and feed-forward read the same norm (Phi-2)
  bool post_norms = false;        // what each of the two adds is normalised first (Gemma)
  bool scaled_embedding = false;  // times the root of the width (Gemma)
  bool experts = false;           // its feed-forward may be a mixture of experts (Mixtral)

  struct AttentionForm {
    math::RotaryPairs rotary = math::RotaryPairs::half_split;
    // A sliding window that the file does not carry, from its metadata; nullopt: full attention.
    std::optional<std::uint32_t> (*inferred_window)(const format::Metadata&) = nullptr;
    bool query_key_norms = false;  // every head of queries and keys is normalised before it turns
    // Of so many layers the last sees everything and the others their window; 0: all are alike.
    std::uint32_t full_every = 0;
    // The rotary base of layers with a window, where they have one of their own; no scaling.
    std::optional<float> window_rotary_base = {};
    // What scores are multiplied by; by default the head width's root, inverted.
    std::optional<float> (*scale)(const format::Metadata&) = nullptr;
  };
  AttentionForm attention = {};

  struct FeedForwardForm {
    math::Gate gate = math::Gate::silu;
    bool gated = true;  // false: activation(up), without a second matrix
  };
  FeedForwardForm feed_forward = {};

  Match (*matches)(const format::Metadata&) = nullptr;
};

// All families, by name; collected from model/architectures.
std::span<const Architecture* const> architectures();

// What a family does beside what all do, in words: "grouped query heads" is not among them, which
// files decide, but "norms of queries and keys" is.
std::vector<std::string> mechanisms(const Architecture& architecture);

// The family of a file and why. Throws base::Error(unsupported) naming the file's architecture.
struct Identified {
  const Architecture* architecture;
  std::string reason;
};
Identified identify(const format::Metadata& metadata, const std::string& file);

}  // namespace malina::model
