// Float rows to one value.
#pragma once

#include <algorithm>

#include "math/device.h"

namespace malina::math {

struct FillRows {
  static constexpr std::string_view kName = "fill_rows";
  Slice output;
  float value = 0;

  void check() const { require(output.encoding == nullptr, kName, "a packed matrix"); }
  Cost cost() const { return {0, output.bytes(), 0}; }
  void compute(CpuContext&) const {
    for (std::size_t i = 0; i < output.rows; ++i)
      std::fill_n(host_floats(output) + i * output.stride, output.columns, value);
  }
};

}  // namespace malina::math
