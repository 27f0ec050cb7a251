// What the files of unquantised encodings share: a row is columns numbers of one type, and a packed
// group holds for each column the 16 rows' numbers side by side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "math/encoding.h"

namespace malina::math {

template <class Number, float (*kToFloat)(Number)>
void decode_numbers(const std::byte* file_row, std::size_t columns, float* output) {
  for (std::size_t k = 0; k < columns; ++k) {
    Number number;
    std::memcpy(&number, file_row + k * sizeof(Number), sizeof(Number));
    output[k] = kToFloat(number);
  }
}

template <class Number, Number (*kFromFloat)(float)>
void encode_numbers(const float* row, std::size_t columns, const float*, std::byte* file_row) {
  for (std::size_t k = 0; k < columns; ++k) {
    const Number number = kFromFloat(row[k]);
    std::memcpy(file_row + k * sizeof(Number), &number, sizeof(Number));
  }
}

template <class Number>
void pack_numbers(const std::array<const std::byte*, kGroupRows>& file_rows, std::size_t columns,
                  std::byte* group) {
  for (std::size_t r = 0; r < kGroupRows; ++r) {
    for (std::size_t k = 0; k < columns; ++k) {
      Number number{};
      if (file_rows[r] != nullptr) {
        std::memcpy(&number, file_rows[r] + k * sizeof(Number), sizeof(Number));
      }
      std::memcpy(group + (k * kGroupRows + r) * sizeof(Number), &number, sizeof(Number));
    }
  }
}

}  // namespace malina::math
