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

// input_gradient += what output_gradient, the gradient of LayerNorm's output, means for its input.
// All but weight: [tokens, width]; input_gradient is memory of its own. The bias has no part in it.
struct LayerNormBackward {
  static constexpr std::string_view kName = "layer_norm_backward";
  Slice input, weight, output_gradient, input_gradient;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
