#include "math/ops/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace malina::math {

void ChooseExperts::check() const {
  require(used > 0 && used <= scores.columns, kName, "more experts chosen than there are");
  require(choices.size() == scores.rows * used, kName, "shapes differ");
}

Cost ChooseExperts::cost() const { return {scores.bytes(), choices.size_bytes(), 0}; }

namespace {

void choose(const float* scores, std::size_t experts, std::span<ExpertChoice> choices) {
  std::vector<std::uint32_t> order(experts);
  std::iota(order.begin(), order.end(), 0U);
  // Stable: of equal scores the lowest index stays first.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; });
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(choices.size()));
  const float top = *std::max_element(scores, scores + experts);
  // The softmax's own sum cancels out.
  float sum = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    choices[i] = {order[i], std::exp(scores[order[i]] - top)};
    sum += choices[i].weight;
  }
  for (ExpertChoice& choice : choices) choice.weight /= sum;
}

}  // namespace

void ChooseExperts::compute(CpuContext&) const {
  for (std::size_t row = 0; row < scores.rows; ++row)
    choose(host_floats(scores) + row * scores.stride, scores.columns,
           choices.subspan(row * used, used));
}

void AddWeightedRows::check() const {
  require(input.rows == rows.size() && input.rows == weights.size() &&
              input.columns == output.columns,
          kName, "shapes differ");
  for (const std::size_t row : rows) require(row < output.rows, kName, "a row out of range");
}

Cost AddWeightedRows::cost() const {
  return {2 * input.bytes(), input.bytes(),
          static_cast<double>(input.rows) * static_cast<double>(input.columns)};
}

void AddWeightedRows::compute(CpuContext& context) const {
  const auto one = [&](std::size_t i) {
    const float* from = host_floats(input) + i * input.stride;
    float* to = host_floats(output) + rows[i] * output.stride;
    for (std::size_t k = 0; k < input.columns; ++k) to[k] += weights[i] * from[k];
  };
  if (rows.size() < 4)
    for (std::size_t i = 0; i < rows.size(); ++i) one(i);
  else
    context.pool.run(rows.size(), one);
}

}  // namespace malina::math
