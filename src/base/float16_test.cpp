#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace malina::base {
namespace {

TEST(Float16, EveryHalfComesBackUnchanged) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float wide = float16_to_float(static_cast<std::uint16_t>(half));
    if (std::isnan(wide)) continue;
    EXPECT_EQ(float_to_float16(wide), half);
  }
}

TEST(Float16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_float16(1.0F + 0x1p-11F), float_to_float16(1.0F));
  EXPECT_EQ(float16_to_float(float_to_float16(1.0F + 3 * 0x1p-11F)), 1.0F + 2 * 0x1p-10F);
  EXPECT_EQ(float_to_float16(65519.996F), 0x7BFF);
  EXPECT_EQ(float_to_float16(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_float16(0x1p-25F), 0);
  EXPECT_EQ(float_to_float16(std::nextafter(0x1p-25F, 1.0F)), 1);
}

TEST(Bfloat16, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(float_to_bfloat16(1.0F), 0x3F80);
  EXPECT_EQ(float_to_bfloat16(1.0F + 0x1p-8F), 0x3F80);
  EXPECT_EQ(float_to_bfloat16(1.0F + 3 * 0x1p-8F), 0x3F82);
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace malina::base
