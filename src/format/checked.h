// Arithmetic on numbers that a file gave: nullopt instead of wrapping around.
#pragma once

#include <cstdint>
#include <optional>

namespace malina::format {

inline std::optional<std::uint64_t> add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// To the next multiple of a power of two.
inline std::optional<std::uint64_t> round_up(std::uint64_t value, std::uint64_t alignment) {
  const auto sum = add(value, alignment - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(alignment - 1);
}

}  // namespace malina::format
