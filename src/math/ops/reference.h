// Plain loops, templated on the number type: what each operation means. Tests compare every kernel
// with them, in double precision; nothing else uses them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace malina::math::reference {

template <class Number>
std::vector<Number> rms_norm(std::span<const float> input, std::span<const float> weight,
                             double epsilon) {
  Number squares = 0;
  for (const float x : input) squares += Number{x} * Number{x};
  const Number factor =
      1 / std::sqrt(squares / static_cast<Number>(input.size()) + static_cast<Number>(epsilon));
  std::vector<Number> output;
  for (std::size_t i = 0; i < input.size(); ++i)
    output.push_back(Number{input[i]} * factor * Number{weight[i]});
  return output;
}

template <class Number>
std::vector<Number> layer_norm(std::span<const float> input, std::span<const float> weight,
                               std::span<const float> bias, double epsilon) {
  const auto width = static_cast<Number>(input.size());
  Number mean = 0;
  for (const float x : input) mean += Number{x} / width;
  Number variance = 0;
  for (const float x : input) variance += (Number{x} - mean) * (Number{x} - mean) / width;
  std::vector<Number> output;
  for (std::size_t i = 0; i < input.size(); ++i)
    output.push_back((Number{input[i]} - mean) /
                         std::sqrt(variance + static_cast<Number>(epsilon)) * Number{weight[i]} +
                     (bias.empty() ? Number{0} : Number{bias[i]}));
  return output;
}

template <class Number>
Number gelu_tanh(Number x) {
  const Number pi = 3.14159265358979323846;
  return x / 2 * (1 + std::tanh(std::sqrt(2 / pi) * (x + Number{0.044715} * x * x * x)));
}

template <class Number>
Number silu(Number x) {
  return x / (1 + std::exp(-x));
}

template <class Number>
Number log_sum_exp(std::span<const float> input) {
  const Number top = *std::max_element(input.begin(), input.end());
  Number total = 0;
  for (const float x : input) total += std::exp(Number{x} - top);
  return top + std::log(total);
}

// One query over keys and values that it sees, each [positions][head_width].
template <class Number>
std::vector<Number> attention(std::span<const float> query,
                              const std::vector<std::vector<float>>& keys,
                              const std::vector<std::vector<float>>& values, double scale) {
  std::vector<Number> scores;
  for (const auto& key : keys) {
    Number score = 0;
    for (std::size_t d = 0; d < query.size(); ++d) score += Number{query[d]} * Number{key[d]};
    scores.push_back(score * static_cast<Number>(scale));
  }
  const Number top = *std::max_element(scores.begin(), scores.end());
  Number sum = 0;
  std::vector<Number> output(query.size(), 0);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const Number probability = std::exp(scores[i] - top);
    sum += probability;
    for (std::size_t d = 0; d < query.size(); ++d) output[d] += probability * Number{values[i][d]};
  }
  for (Number& value : output) value /= sum;
  return output;
}

}  // namespace malina::math::reference
