// A packed matrix turned: what an integer product of gradients needs.
#pragma once

#include "math/device.h"

namespace malina::math {

// output [columns, rows] = weight [rows, columns] transposed, in the output's encoding, which has a
// writer; rows is a multiple of its blocks. The values are rounded to that encoding once more.
struct TransposePacked {
  static constexpr std::string_view kName = "transpose_packed";
  Slice weight, output;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
