// What a classifier says of many examples.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace malina::eval {

// Row i holds the probability of every class for example i. Rows sum to 1, within rounding.
struct ProbabilityTable {
  std::size_t classes = 0;
  std::vector<double> values;  // [rows, classes]

  std::size_t rows() const { return classes == 0 ? 0 : values.size() / classes; }
  std::span<const double> row(std::size_t i) const {
    return std::span(values).subspan(i * classes, classes);
  }
  std::span<double> row(std::size_t i) { return std::span(values).subspan(i * classes, classes); }
};

// Scores become the probabilities that are in proportion to their exponentials.
inline void softmax(std::span<double> scores) {
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - most);
  for (double& score : scores) score /= sum;
}

// The likeliest class; the first of equals.
inline std::size_t likeliest(std::span<const double> probabilities) {
  return static_cast<std::size_t>(std::max_element(probabilities.begin(), probabilities.end()) -
                                  probabilities.begin());
}

// Of every row.
inline std::vector<std::uint32_t> answers(const ProbabilityTable& table) {
  std::vector<std::uint32_t> result;
  result.reserve(table.rows());
  for (std::size_t i = 0; i < table.rows(); ++i)
    result.push_back(static_cast<std::uint32_t>(likeliest(table.row(i))));
  return result;
}

}  // namespace malina::eval
