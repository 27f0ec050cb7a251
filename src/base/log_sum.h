// The logarithm of a sum of exponentials, without their overflow.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace malina::base {

// log(sum of exp(value)), in double. `values` is not empty; -infinity stands for none.
template <class Float>
double log_sum(std::span<const Float> values) {
  const double most = double{*std::max_element(values.begin(), values.end())};
  if (!std::isfinite(most)) return most;
  double sum = 0;
  for (const Float value : values) sum += std::exp(double{value} - most);
  return most + std::log(sum);
}

}  // namespace malina::base
