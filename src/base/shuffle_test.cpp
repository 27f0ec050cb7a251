#include "base/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace malina::base {

namespace {

// Seeds are part of what tuning promises: this order may not change.
TEST(Shuffle, OrderOfASeedStays) {
  Random random(7);
  std::vector<std::size_t> expected{0, 1, 2, 3, 4, 5, 6, 7};
  Random same(7);
  for (std::size_t i = expected.size(); i > 1; --i)
    std::swap(expected[i - 1], expected[same.below(i)]);
  EXPECT_EQ(shuffled_order(8, random), expected);
  EXPECT_EQ(random.next(), same.next());
}

TEST(Shuffle, EachItemStaysOnce) {
  Random random(1);
  std::vector<std::size_t> order = shuffled_order(100, random);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
}

TEST(Shuffle, OfNothingIsNothing) {
  Random random(1);
  EXPECT_TRUE(shuffled_order(0, random).empty());
  EXPECT_EQ(shuffled_order(1, random), std::vector<std::size_t>{0});
}

}  // namespace

}  // namespace malina::base
