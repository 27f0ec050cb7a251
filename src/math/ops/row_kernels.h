// Small kernels over rows of floats, one set an instruction set, all with the same bits: every one
// is written over vectors of 16 lanes with one tree of reduction.
#pragma once

#include <cstddef>
#include <cstdint>

#include "math/isa.h"

namespace malina::math {

struct RowKernels {
  // input / sqrt(mean(input^2) + epsilon) * weight. input may be output.
  void (*rms_norm)(const float* input, const float* weight, float epsilon, std::size_t width,
                   float* output);
  // (input - mean) / sqrt(variance + epsilon) * weight + bias. bias: null is 0. input may be output.
  void (*layer_norm)(const float* input, const float* weight, const float* bias, float epsilon,
                     std::size_t width, float* output);
  // Activations to 8 bits (QuantizedRows); width is a multiple of 32.
  void (*quantize)(const float* input, std::size_t width, std::int8_t* values, float* scales,
                   std::int32_t* sums);
  // silu(gate) * up, and gelu(gate) * up, GELU by its tanh form. up: null is 1.
  void (*silu_gate)(const float* gate, const float* up, std::size_t width, float* output);
  void (*gelu_gate)(const float* gate, const float* up, std::size_t width, float* output);
  // Sum of a[i] * b[i]: 16 partial sums, then the fixed tree.
  float (*dot)(const float* a, const float* b, std::size_t width);
  // log(sum(exp(input))).
  double (*log_sum_exp)(const float* input, std::size_t width);
};

const RowKernels& row_kernels(Isa isa);

}  // namespace malina::math
