// A residual connection whose addend was computed on its own.
#pragma once

#include "math/device.h"

namespace malina::math {

// output += input, both float [tokens, width].
struct AddRows {
  static constexpr std::string_view kName = "add_rows";
  Slice input, output;

  void check() const {
    require(input.rows == output.rows && input.columns == output.columns, kName, "shapes differ");
  }
  Cost cost() const { return {2 * input.bytes(), output.bytes(), 0}; }
  void compute(CpuContext&) const {
    for (std::size_t i = 0; i < input.rows; ++i) {
      const float* from = host_floats(input) + i * input.stride;
      float* to = host_floats(output) + i * output.stride;
      for (std::size_t k = 0; k < input.columns; ++k) to[k] += from[k];
    }
  }
};

}  // namespace malina::math
