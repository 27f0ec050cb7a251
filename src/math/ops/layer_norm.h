// Layer normalisation (Ba, Kiros and Hinton, 2016).
#pragma once

#include "math/device.h"

namespace malina::math {

// output = (input - mean) / sqrt(variance + epsilon) * weight + bias, each row by itself; the
// variance is that of the row, not an estimate (divided by the width).
// input, output: [tokens, width], may be the same memory; weight: [1, width]; bias too, or absent.
struct LayerNorm {
  static constexpr std::string_view kName = "layer_norm";
  Slice input, weight, bias, output;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
