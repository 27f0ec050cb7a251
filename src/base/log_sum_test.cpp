#include "base/log_sum.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace malina::base {

namespace {

double of(std::vector<double> values) { return log_sum(std::span<const double>(values)); }

TEST(LogSum, IsTheLogarithmOfTheSum) {
  EXPECT_DOUBLE_EQ(of({std::log(0.2), std::log(0.3)}), std::log(0.5));
  EXPECT_DOUBLE_EQ(of({7}), 7);
}

TEST(LogSum, DoesNotOverflow) {
  EXPECT_DOUBLE_EQ(of({1000, 1000}), 1000 + std::log(2));
  EXPECT_DOUBLE_EQ(of({-1000, -1000}), -1000 + std::log(2));
}

TEST(LogSum, OfNothingPossibleIsNothing) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(of({kNever, kNever}), kNever);
  EXPECT_DOUBLE_EQ(of({kNever, 1}), 1);
}

}  // namespace

}  // namespace malina::base
