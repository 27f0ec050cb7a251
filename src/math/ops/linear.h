// The matrix product of every layer: one input, one or more packed weight matrices.
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

// Activations in 8 bits (QuantizedRows), in device memory: room for `rows` rows of up to `columns`.
struct QuantizedScratch {
  const Buffer* buffer = nullptr;
  std::size_t offset = 0;
  std::size_t rows = 0, columns = 0;

  static std::size_t bytes(std::size_t rows, std::size_t columns);
};

// A low-rank addition for a range of rows: output += (scale * input A^T) B^T (Hu et al., 2021), in
// float32 whatever the precision of the product.
// a: packed [rank, width]; b: packed [outputs, rank]; rows [first, first + count) of the batch.
struct LowRank {
  Slice a, b;
  float scale = 1;
  std::size_t first = 0, count = 0;
};

struct LinearPart {
  Slice weight;                            // packed [outputs, width]
  Slice bias;                              // float [1, outputs], or absent
  Slice output;                            // float [tokens, outputs]
  bool add = false;                        // output += product: a residual connection
  std::span<const LowRank> adapters = {};  // row ranges that do not overlap
};

enum class Precision {
  fast,   // activations in 8 bits against weights that have an integer product
  exact,  // float32 activations, weights decoded to float32
};

// For each part: output = input * weight^T (+ bias) (+ adapters). input: float [tokens, width].
// Parts share the input and its quantisation, and run as one parallel section. `refined`: in fast
// precision what 8 bits leave of each activation is quantised again and multiplied too (16 bits in
// all, at twice the arithmetic and the same traffic of weights). scratch: room for the quantised
// input, twice as many rows when refined.
struct Linear {
  static constexpr std::string_view kName = "linear";
  Slice input;
  std::span<const LinearPart> parts;
  QuantizedScratch scratch;
  Precision precision = Precision::fast;
  bool refined = false;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// input_gradient (+)= output_gradient * weight: what a frozen weight passes back.
// output_gradient: float [tokens, outputs]; input_gradient: float [tokens, width], contiguous.
struct LinearBackward {
  static constexpr std::string_view kName = "linear_backward";
  Slice output_gradient, weight, input_gradient;
  bool add = true;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
