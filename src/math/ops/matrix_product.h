// The product of two matrices of floats, small beside the packed weights: low-rank adapters, heads
// and their gradients.
#pragma once

#include "math/device.h"

namespace malina::math {

// output (+)= scale * left * right. left: [m, k], or with `left_transposed` [k, m]; right: [k, n];
// output: [m, n], memory of its own. Every element is one chain over k ascending, whatever the
// number of threads.
struct MatrixProduct {
  static constexpr std::string_view kName = "matrix_product";
  Slice left, right, output;
  bool left_transposed = false;
  bool add = false;
  float scale = 1;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// output[n, m] = input[m, n].
struct Transpose {
  static constexpr std::string_view kName = "transpose";
  Slice input, output;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
