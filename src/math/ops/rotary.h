// Rotary position embedding (Su et al., 2021).
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

// Which two elements of a head turn together: (2j, 2j+1), or (j, j + rotated/2).
enum class RotaryPairs { interleaved, half_split };

// Cosines and sines of position * frequency, in float32 as the reference computes them.
// output: [tokens, 2 * frequencies]: cosines, then sines, each times `magnitude`.
struct RotaryAngles {
  static constexpr std::string_view kName = "rotary_angles";
  std::span<const std::uint32_t> positions;  // one a row; borrowed during the call
  std::span<const float> frequencies;        // radians a position
  Slice output;
  float magnitude = 1;
  // Where is_long[row] is not 0, these hold instead; both empty, or one a frequency and one a row.
  std::span<const float> long_frequencies = {};
  std::span<const std::uint8_t> is_long = {};

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// Turns the first 2 * frequencies elements of every head, in place.
// heads: [tokens, head_count * head_width]; angles: as RotaryAngles makes them. `back`: the other
// way, times the same magnitude, which is the transposed matrix: gradients go back by it.
struct Rotate {
  static constexpr std::string_view kName = "rotate";
  Slice heads, angles;
  std::size_t head_width;
  RotaryPairs pairs;
  bool back = false;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
