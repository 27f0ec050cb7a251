// The arithmetic of the products, as plain loops over rows as they stand in a file: the definition
// that the kernels of every instruction set and packed layout meet bit for bit.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "math/encoding.h"

namespace malina::math {

// 32 consecutive weights of a row. Weight i is scale * (s * values[i]) + m, where s is
// scales[i / 16], and m is minimum * minimums[i / 16], or nothing where has_minimum is false.
// Without sub-scales both arrays are 1.
struct BlockValues {
  int values[kBlock];
  float scale = 0;
  float minimum = 0;
  int scales[2] = {1, 1};
  int minimums[2] = {1, 1};
  bool has_minimum = false;
  bool has_sub_scales = false;
};

namespace reference {

// One output in 8 bits. For each block of 32 columns, ascending: the exact integer sum, then one
// fused multiply-add into the chain; where the weights have minima a second one.
inline float quantized(const Encoding& encoding, const std::byte* file_row, const QuantizedRows& x,
                       std::size_t m) {
  float chain = 0;
  for (std::size_t b = 0; b < x.columns / kBlock; ++b) {
    BlockValues block;
    encoding.read_block(file_row, b, block);
    const std::size_t position = m * x.columns + b * kBlock;
    const float x_scale = x.scales[position / kBlock];
    std::int32_t products = 0, minimums = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      products += block.scales[i / 16] * block.values[i] * x.values[position + i];
      minimums += block.minimums[i / 16] * x.values[position + i];
    }
    chain = std::fma(static_cast<float>(products), block.scale * x_scale, chain);
    if (!block.has_minimum) continue;
    if (block.has_sub_scales) {
      chain = std::fma(static_cast<float>(minimums), block.minimum * x_scale, chain);
    } else {
      chain = std::fma(block.minimum, x_scale * static_cast<float>(minimums), chain);
    }
  }
  return chain;
}

// One output of the exact mode: columns ascending, one chain. weights: the decoded row.
inline float exact(const float* weights, const float* x, std::size_t columns) {
  float chain = 0;
  for (std::size_t k = 0; k < columns; ++k) chain = std::fma(weights[k], x[k], chain);
  return chain;
}

// One output of the transposed product: rows ascending, one chain. weights: column k of the decoded
// matrix, `stride` apart.
inline float transposed(const float* weights, std::size_t stride, const float* dy,
                        std::size_t rows) {
  float chain = 0;
  for (std::size_t n = 0; n < rows; ++n) chain = std::fma(weights[n * stride], dy[n], chain);
  return chain;
}

// 32 weights as floats, with the roundings of gguf-py's dequantize.
inline void decode(const BlockValues& block, float* output) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float scale = block.scale * static_cast<float>(block.scales[i / 16]);
    float value = scale * static_cast<float>(block.values[i]);
    if (block.has_minimum) value += block.minimum * static_cast<float>(block.minimums[i / 16]);
    output[i] = value;
  }
}

}  // namespace reference
}  // namespace malina::math
