#include "math/ops/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "math/ops/row_kernels.h"

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
  require(
      input.rows == rows.size() && input.rows == weights.size() && input.columns == output.columns,
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

void AddWeightedRowsBackward::check() const {
  require(input.rows == rows.size() && input.rows == weights.size() &&
              input.rows == weight_gradients.size() && input.rows == input_gradient.rows &&
              input.columns == output_gradient.columns && input.columns == input_gradient.columns,
          kName, "shapes differ");
  for (const std::size_t row : rows)
    require(row < output_gradient.rows, kName, "a row out of range");
}

Cost AddWeightedRowsBackward::cost() const {
  return {2 * input.bytes(), input.bytes(),
          2 * static_cast<double>(input.rows) * static_cast<double>(input.columns)};
}

void AddWeightedRowsBackward::compute(CpuContext& context) const {
  const auto dot = row_kernels(context.isa).dot;
  context.pool.run(rows.size(), [&](std::size_t i) {
    const float* from = host_floats(output_gradient) + rows[i] * output_gradient.stride;
    float* to = host_floats(input_gradient) + i * input_gradient.stride;
    weight_gradients[i] = dot(host_floats(input) + i * input.stride, from, input.columns);
    for (std::size_t k = 0; k < input.columns; ++k) to[k] = weights[i] * from[k];
  });
}

void ChooseExpertsBackward::check() const {
  require(used > 0 && choices.size() == scores_gradient.rows * used &&
              weight_gradients.size() == choices.size(),
          kName, "shapes differ");
}

Cost ChooseExpertsBackward::cost() const {
  return {weight_gradients.size_bytes(), scores_gradient.bytes(), 0};
}

// The weights are the softmax of the chosen scores alone: what all experts' sum is cancels out.
void ChooseExpertsBackward::compute(CpuContext&) const {
  for (std::size_t row = 0; row < scores_gradient.rows; ++row) {
    float* gradient = host_floats(scores_gradient) + row * scores_gradient.stride;
    std::fill_n(gradient, scores_gradient.columns, 0.0F);
    float level = 0;
    for (std::size_t i = row * used; i < (row + 1) * used; ++i)
      level += choices[i].weight * weight_gradients[i];
    for (std::size_t i = row * used; i < (row + 1) * used; ++i)
      gradient[choices[i].expert] = choices[i].weight * (weight_gradients[i] - level);
  }
}

}  // namespace malina::math
