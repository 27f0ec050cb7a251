// Copies within one buffer: a shared page before it is written to.
#pragma once

#include <algorithm>

#include "math/device.h"

namespace malina::math {

// bytes [to, to + bytes) = bytes [from, from + bytes) of one buffer; the ranges do not overlap.
struct CopyBytes {
  static constexpr std::string_view kName = "copy_bytes";
  const Buffer* buffer;
  std::size_t from, to, bytes;

  void check() const {
    require(from + bytes <= buffer->bytes() && to + bytes <= buffer->bytes(), kName,
            "out of range");
  }
  Cost cost() const { return {bytes, bytes, 0}; }
  void compute(CpuContext&) const {
    std::copy_n(buffer->host() + from, bytes, buffer->host() + to);
  }
};

}  // namespace malina::math
