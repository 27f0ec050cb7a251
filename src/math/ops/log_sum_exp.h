// The normaliser of a row of logits.
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

// sums[i] = log(sum over j of exp(row i of input [j])). The logarithm of a token's probability is
// its logit less this. input: float [rows, vocab]; sums: one a row, on the host.
struct LogSumExp {
  static constexpr std::string_view kName = "log_sum_exp";
  Slice input;
  std::span<double> sums;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
