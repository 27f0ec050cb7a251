// The order of Fisher and Yates, the same on every machine for the same numbers.
#pragma once

#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"

namespace malina::base {

// From its end, as Durstenfeld has it (1964); takes items.size() - 1 numbers.
template <class Item>
void shuffle(std::vector<Item>& items, Random& random) {
  for (std::size_t left = items.size(); left > 1; --left)
    std::swap(items[left - 1], items[static_cast<std::size_t>(random.below(left))]);
}

// 0 to count - 1.
inline std::vector<std::size_t> shuffled_order(std::size_t count, Random& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, random);
  return order;
}

}  // namespace malina::base
