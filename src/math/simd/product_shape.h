// What the integer product of an encoding must know of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace malina::math {

struct ProductShape {
  // Codes are 0..maximum and mean code - offset; signed codes are -128..127 and mean themselves.
  int maximum = 0;
  int offset = 0;
  bool is_signed = false;
  bool has_minimum = false;
  // An integer scale for each 16 columns, within the scale of the block.
  bool has_sub_scales = false;
};

// 16 bytes that a code of 4 bits selects from.
using Table = std::array<std::int8_t, 16>;

// Columns 4j..4j+3 of 16 rows are one line of the packed layout.
inline constexpr std::size_t kLineBytes = 64;
inline constexpr int kLines = 8;  // of a block of 32 columns

}  // namespace malina::math
