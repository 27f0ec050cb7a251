#include "math/ops/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace malina::math {
namespace {

// The pair (x, y) turns by the angle: a complex product.
TEST(Rotary, TurnsPairsByTheirAngle) {
  base::ThreadPool pool(1);
  CpuDevice device(pool);
  const std::vector<float> frequencies{1.0F, 0.1F};
  const std::vector<std::uint32_t> positions{0, 3, 500};
  auto buffer = device.allocate(4096);
  const Slice angles = float_slice(*buffer, 0, 3, 4);
  device.run(RotaryAngles{positions, frequencies, angles});
  for (const RotaryPairs pairs : {RotaryPairs::interleaved, RotaryPairs::half_split}) {
    const Slice heads = float_slice(*buffer, 256, 3, 10);  // two heads of 5, of which 4 turn
    for (std::size_t i = 0; i < 30; ++i) host_floats(heads)[i] = static_cast<float>(i % 7) - 3;
    const std::vector<float> before(host_floats(heads), host_floats(heads) + 30);
    device.run(Rotate{heads, angles, 5, pairs});
    for (std::size_t row = 0; row < 3; ++row)
      for (std::size_t head = 0; head < 2; ++head) {
        const std::size_t at = row * 10 + head * 5;
        EXPECT_EQ(host_floats(heads)[at + 4], before[at + 4]);
        for (std::size_t j = 0; j < 2; ++j) {
          const std::size_t first = pairs == RotaryPairs::interleaved ? at + 2 * j : at + j;
          const std::size_t second = pairs == RotaryPairs::interleaved ? first + 1 : at + j + 2;
          const double angle = static_cast<double>(positions[row]) * double{frequencies[j]};
          EXPECT_NEAR(host_floats(heads)[first],
                      before[first] * std::cos(angle) - before[second] * std::sin(angle), 1e-4);
          EXPECT_NEAR(host_floats(heads)[second],
                      before[second] * std::cos(angle) + before[first] * std::sin(angle), 1e-4);
        }
      }
  }
}

}  // namespace
}  // namespace malina::math
