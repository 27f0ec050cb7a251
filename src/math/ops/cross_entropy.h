// The loss of classification and of language modelling, and its gradient.
#pragma once

#include <cstdint>
#include <span>

#include "math/device.h"

namespace malina::math {

// losses[i] = log(sum(exp(row i))) - row i [targets[i]], in nats. Then each row of `logits`
// [rows, classes] is overwritten by the gradient of the sum over i of weights[i] * losses[i].
struct CrossEntropy {
  static constexpr std::string_view kName = "cross_entropy";
  Slice logits;
  std::span<const std::int32_t> targets;  // one a row, each below the columns
  std::span<const float> weights;         // one a row
  std::span<double> losses;               // one a row, on the host; on a planning device as it was

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
