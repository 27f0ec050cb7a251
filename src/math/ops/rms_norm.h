// RMS normalisation (Zhang and Sennrich, 2019).
#pragma once

#include "math/device.h"

namespace malina::math {

// Scales every row to a root mean square of 1, then by `weight`:
// output = input / sqrt(mean(input^2) + epsilon) * weight.
// input, output: [tokens, width], may be the same memory; weight: [1, width].
struct RmsNorm {
  static constexpr std::string_view kName = "rms_norm";
  Slice input, weight, output;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// input_gradient += what output_gradient, the gradient of RmsNorm's output, means for its input.
// All but weight: [tokens, width]; input_gradient is memory of its own.
struct RmsNormBackward {
  static constexpr std::string_view kName = "rms_norm_backward";
  Slice input, weight, output_gradient, input_gradient;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
