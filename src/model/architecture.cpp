#include "model/architecture.h"

#include <fmt/format.h>

#include "base/error.h"

namespace malina::model {

Identified identify(const format::Metadata& metadata, const std::string& file) {
  Identified best{nullptr, {}};
  int certainty = 0;
  std::string refusal;
  for (const Architecture* architecture : architectures()) {
    const Match match = architecture->matches(metadata);
    if (match.certainty == 0 && !match.reason.empty()) refusal = ": " + match.reason;
    if (match.certainty <= certainty) continue;
    certainty = match.certainty;
    best = {architecture, match.reason};
  }
  if (best.architecture == nullptr) {
    const auto declared = metadata.text("general.architecture");
    throw base::Error(
        base::Fault::unsupported,
        declared ? fmt::format("{}: model family '{}' is not one that malina runs{}", file,
                               *declared, refusal)
                 : fmt::format("{}: has no general.architecture, so it is not a model", file));
  }
  return best;
}

std::vector<std::string> mechanisms(const Architecture& family) {
  const auto& attention = family.attention;
  std::vector<std::string> words;
  const auto add = [&](bool present, std::string text) {
    if (present) words.push_back(std::move(text));
  };
  add(family.norm == Architecture::Norm::rms, "RMSNorm");
  add(family.norm == Architecture::Norm::layer, "LayerNorm");
  add(family.post_norms, "norms after each part");
  add(family.parallel, "attention and feed-forward in parallel");
  add(family.scaled_embedding, "scaled embedding");
  add(attention.query_key_norms, "norms of queries and keys");
  add(attention.full_every != 0,
      fmt::format("a window on all but every {}th layer", attention.full_every));
  add(attention.inferred_window != nullptr, "sliding window, inferred where files do not say it");
  add(attention.window_rotary_base.has_value(), "a second rotary base");
  add(attention.rotary == math::RotaryPairs::interleaved, "interleaved rotary pairs");
  add(attention.rotary == math::RotaryPairs::half_split, "half-split rotary pairs");
  const bool silu = family.feed_forward.gate == math::Gate::silu;
  add(true, fmt::format("{}{}", silu ? "SiLU" : "GELU (tanh)",
                        family.feed_forward.gated ? ", gated" : ", not gated"));
  add(family.experts, "mixture of experts");
  return words;
}

}  // namespace malina::model
