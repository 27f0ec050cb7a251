// Picks rows: those whose results somebody wants.
#pragma once

#include <algorithm>
#include <span>

#include "math/device.h"

namespace malina::math {

// output row i = input row rows[i]. Different memory.
struct CopyRows {
  static constexpr std::string_view kName = "copy_rows";
  Slice input, output;
  std::span<const std::size_t> rows;

  void check() const {
    require(output.rows == rows.size() && output.columns == input.columns, kName, "shapes differ");
    for (const std::size_t row : rows) require(row < input.rows, kName, "a row out of range");
  }
  Cost cost() const { return {output.bytes(), output.bytes(), 0}; }
  void compute(CpuContext&) const {
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(host_floats(input) + rows[i] * input.stride, input.columns,
                  host_floats(output) + i * output.stride);
  }
};

}  // namespace malina::math
