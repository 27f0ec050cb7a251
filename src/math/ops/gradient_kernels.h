// Small kernels of the backward pass, one set an instruction set, all with the same bits (see
// row_kernels.h).
#pragma once

#include <cstddef>

#include "math/isa.h"

namespace malina::math {

// One factor of a small product: element (row, column) is values[row * row_stride + column *
// column_stride].
struct StridedMatrix {
  const float* values;
  std::size_t row_stride, column_stride;
};

struct GradientKernels {
  // input_gradient += what a gradient of rms_norm(input) means for its input.
  void (*rms_norm)(const float* input, const float* weight, float epsilon,
                   const float* output_gradient, std::size_t width, float* input_gradient);
  void (*layer_norm)(const float* input, const float* weight, float epsilon,
                     const float* output_gradient, std::size_t width, float* input_gradient);
  // gradient += what a row means for the weights of its norm: output_gradient times the row
  // normalised.
  void (*rms_norm_weight)(const float* input, float epsilon, const float* output_gradient,
                          std::size_t width, float* gradient);
  void (*layer_norm_weight)(const float* input, float epsilon, const float* output_gradient,
                            std::size_t width, float* gradient);
  // Of silu(gate) * up and gelu(gate) * up; up null is 1, and then up_gradient is not written.
  // gate_gradient may be gate's memory, up_gradient up's or output_gradient's.
  void (*silu_gate)(const float* gate, const float* up, const float* output_gradient,
                    std::size_t width, float* gate_gradient, float* up_gradient);
  void (*gelu_gate)(const float* gate, const float* up, const float* output_gradient,
                    std::size_t width, float* gate_gradient, float* up_gradient);
  // row[first, last) becomes its softmax after scaling, the rest of [0, width) 0. first < last.
  void (*softmax)(float* row, float scale, std::size_t first, std::size_t last, std::size_t width);
  // gradient = scale * p * (gradient - sum of p * gradient).
  void (*softmax_gradient)(const float* p, float scale, std::size_t width, float* gradient);
  // logits = (softmax(logits) - [column == target]) * weight, by their log of sum of exponentials.
  void (*cross_entropy_gradient)(float* logits, std::size_t width, std::size_t target,
                                 float log_sum_exp, float weight);
  // output[m, n] (+)= scale * sum over k of left(m, k) * right[k * right_stride + n]; each element
  // one chain of fused multiply-adds, k ascending, added (where `add`) in one addition at the end.
  void (*product)(const StridedMatrix& left, const float* right, std::size_t right_stride,
                  std::size_t rows, std::size_t depth, std::size_t columns, float scale, bool add,
                  float* output, std::size_t output_stride);
};

const GradientKernels& gradient_kernels(Isa isa);

}  // namespace malina::math
