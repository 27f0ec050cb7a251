// A stable sort whose comparison may throw and need not be a consistent order (a NaN is in none).
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace malina::text::jinja {

// Merges runs of growing length; `before(a, b)`: a stands before b.
template <typename T, typename Before>
void stable_merge_sort(std::vector<T>& items, Before before) {
  std::vector<T> merged;
  merged.reserve(items.size());
  for (std::size_t run = 1; run < items.size(); run *= 2) {
    merged.clear();
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * run) {
      const std::size_t middle = std::min(begin + run, items.size());
      const std::size_t end = std::min(middle + run, items.size());
      std::size_t left = begin;
      std::size_t right = middle;
      while (left < middle && right < end) {
        const bool takes_right = before(items[right], items[left]);
        merged.push_back(std::move(takes_right ? items[right++] : items[left++]));
      }
      while (left < middle) merged.push_back(std::move(items[left++]));
      while (right < end) merged.push_back(std::move(items[right++]));
    }
    items.swap(merged);
  }
}

}  // namespace malina::text::jinja
