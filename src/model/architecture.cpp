#include "model/architecture.h"

#include <fmt/format.h>

#include "base/error.h"

namespace malina::model {

Identified identify(const format::Metadata& metadata, const std::string& file) {
  Identified best{nullptr, {}};
  int certainty = 0;
  for (const Architecture* architecture : architectures()) {
    const Match match = architecture->matches(metadata);
    if (match.certainty <= certainty) continue;
    certainty = match.certainty;
    best = {architecture, match.reason};
  }
  if (best.architecture == nullptr) {
    const auto declared = metadata.text("general.architecture");
    throw base::Error(
        base::Fault::unsupported,
        declared ? fmt::format("{}: model family '{}' is not one that malina runs", file, *declared)
                 : fmt::format("{}: has no general.architecture, so it is not a model", file));
  }
  return best;
}

}  // namespace malina::model
