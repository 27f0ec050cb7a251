// What a training step means for the weights themselves: gradients of linear layers, biases, norms
// and embeddings. Each adds to its gradient, rows of the batch ascending, so that the bits do not
// depend on the number of threads.
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

// Of y = x W^T: gradient += output_gradient^T input, each element one chain over the rows, added in
// one addition at its end. input: [rows, columns of W]; output_gradient: [rows, rows of W];
// gradient: as W is packed, in float32 (16 rows of W side by side), so that what is done to single
// weights finds both at the same place. What pads the last 16 rows stays as it is.
struct LinearWeightGradient {
  static constexpr std::string_view kName = "linear_weight_gradient";
  Slice input, output_gradient, gradient;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// Of y = x + bias: gradient += the sum of the rows of output_gradient. gradient: [1, width].
struct BiasGradient {
  static constexpr std::string_view kName = "bias_gradient";
  Slice output_gradient, gradient;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// Of RmsNorm: gradient += sum over rows of output_gradient * input / sqrt(mean(input^2) + epsilon).
// input, output_gradient: [rows, width]; gradient: [1, width].
struct RmsNormWeightGradient {
  static constexpr std::string_view kName = "rms_norm_weight_gradient";
  Slice input, output_gradient, gradient;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// Of LayerNorm: the same of (input - mean) / sqrt(variance + epsilon). Its bias has BiasGradient.
struct LayerNormWeightGradient {
  static constexpr std::string_view kName = "layer_norm_weight_gradient";
  Slice input, output_gradient, gradient;
  float epsilon;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// Of EmbedRows: row tokens[i] of gradient += scale * row i of output_gradient. gradient: packed
// float32 [vocab, width]; tokens: borrowed during the call, each below vocab.
struct EmbedRowsGradient {
  static constexpr std::string_view kName = "embed_rows_gradient";
  Slice output_gradient, gradient;
  std::span<const std::int32_t> tokens;
  float scale = 1;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
