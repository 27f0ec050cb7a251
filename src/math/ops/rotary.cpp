#include "math/ops/rotary.h"

#include <cmath>

namespace malina::math {

void RotaryAngles::check() const {
  require(output.rows == positions.size() && output.columns == 2 * frequencies.size(), kName,
          "shapes differ");
  require(long_frequencies.empty() ||
              (long_frequencies.size() == frequencies.size() && is_long.size() == positions.size()),
          kName, "shapes differ");
}

Cost RotaryAngles::cost() const { return {0, output.bytes(), 0}; }

void RotaryAngles::compute(CpuContext& context) const {
  float* rows = host_floats(output);
  const std::size_t count = frequencies.size();
  const auto one = [&](std::size_t i) {
    float* row = rows + i * output.stride;
    const bool stretched = !long_frequencies.empty() && is_long[i] != 0;
    const std::span<const float> turning = stretched ? long_frequencies : frequencies;
    for (std::size_t j = 0; j < count; ++j) {
      // The reference multiplies in float32, and so must we: at position 8000 the product's own
      // rounding is a visible angle.
      const float angle = static_cast<float>(positions[i]) * turning[j];
      row[j] = std::cos(angle) * magnitude;
      row[count + j] = std::sin(angle) * magnitude;
    }
  };
  if (positions.size() < 4)
    for (std::size_t i = 0; i < positions.size(); ++i) one(i);
  else
    context.pool.run(positions.size(), one);
}

void Rotate::check() const {
  require(heads.rows == angles.rows && heads.columns % head_width == 0 && angles.columns % 2 == 0 &&
              angles.columns <= head_width,
          kName, "shapes differ");
}

Cost Rotate::cost() const { return {heads.bytes() + angles.bytes(), heads.bytes(), 0}; }

namespace {

// `side`: 1 to turn forward, -1 to turn back.
void rotate_interleaved(float* head, const float* cosines, const float* sines, std::size_t count,
                        float side) {
  for (std::size_t j = 0; j < count; ++j) {
    const float x = head[2 * j];
    const float y = head[2 * j + 1];
    const float sine = sines[j] * side;
    head[2 * j] = x * cosines[j] - y * sine;
    head[2 * j + 1] = y * cosines[j] + x * sine;
  }
}

void rotate_halves(float* head, const float* cosines, const float* sines, std::size_t count,
                   float side) {
  for (std::size_t j = 0; j < count; ++j) {
    const float x = head[j];
    const float y = head[j + count];
    const float sine = sines[j] * side;
    head[j] = x * cosines[j] - y * sine;
    head[j + count] = y * cosines[j] + x * sine;
  }
}

}  // namespace

void Rotate::compute(CpuContext& context) const {
  float* rows = host_floats(heads);
  const float* angle_rows = host_floats(angles);
  const std::size_t count = angles.columns / 2;
  const auto turn = pairs == RotaryPairs::interleaved ? rotate_interleaved : rotate_halves;
  const auto one = [&](std::size_t i) {
    const float* cosines = angle_rows + i * angles.stride;
    for (std::size_t first = 0; first < heads.columns; first += head_width)
      turn(rows + i * heads.stride + first, cosines, cosines + count, count, back ? -1.0F : 1.0F);
  };
  if (heads.rows < 4)
    for (std::size_t i = 0; i < heads.rows; ++i) one(i);
  else
    context.pool.run(heads.rows, one);
}

}  // namespace malina::math
