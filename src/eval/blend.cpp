#include "eval/blend.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/stratified.h"

namespace malina::eval {
namespace {

using base::Error;
using base::Fault;
using Members = std::span<const ProbabilityTable* const>;

constexpr double kLeast = 1e-9;
constexpr double kPrior = 0.01;  // rows that speak for equal weights
constexpr int kSteps = 100;

double log_of(double probability) { return std::log(std::max(probability, kLeast)); }

// Of every probability of every member, once: fitting reads them many times.
struct Logarithms {
  std::size_t classes;
  std::vector<std::vector<double>> values;  // [members][rows, classes]

  explicit Logarithms(Members members) : classes(members[0]->classes) {
    for (const ProbabilityTable* table : members) {
      auto& each = values.emplace_back(table->values);
      for (double& value : each) value = log_of(value);
    }
  }
  std::span<const double> row(std::size_t member, std::size_t i) const {
    return std::span(values[member]).subspan(i * classes, classes);
  }
};

void check(Members members, std::size_t rows) {
  const bool fits = !members.empty() && rows > 0 &&
                    std::all_of(members.begin(), members.end(), [&](const ProbabilityTable* table) {
                      return table->rows() == rows && table->classes == members[0]->classes;
                    });
  if (!fits) throw Error(Fault::invalid_argument, "the classifiers of a blend differ in size");
}

void blend_row(const Logarithms& members, std::span<const double> weights, std::size_t row,
               std::span<double> output) {
  std::fill(output.begin(), output.end(), 0.0);
  for (std::size_t m = 0; m < weights.size(); ++m)
    for (std::size_t c = 0; c < output.size(); ++c)
      output[c] += weights[m] * members.row(m, row)[c];
  softmax(output);
}

// The loss, its gradient and its curvature at some weights, over some rows.
struct Point {
  double loss = 0;
  std::vector<double> gradient;
  std::vector<std::vector<double>> curvature;
};

Point evaluate(std::span<const std::uint32_t> labels, const Logarithms& members,
               std::span<const std::size_t> rows, std::span<const double> weights) {
  const std::size_t count = weights.size(), classes = members.classes;
  Point point{0, std::vector<double>(count),
              std::vector<std::vector<double>>(count, std::vector<double>(count))};
  std::vector<double> p(classes), mean(count);
  for (const std::size_t row : rows) {
    blend_row(members, weights, row, p);
    point.loss -= log_of(p[labels[row]]);
    for (std::size_t m = 0; m < count; ++m) {
      mean[m] = 0;
      for (std::size_t c = 0; c < classes; ++c) mean[m] += p[c] * members.row(m, row)[c];
      point.gradient[m] += mean[m] - members.row(m, row)[labels[row]];
    }
    for (std::size_t c = 0; c < classes; ++c)
      for (std::size_t m = 0; m < count; ++m) {
        const double left = members.row(m, row)[c] - mean[m];
        for (std::size_t k = 0; k < count; ++k)
          point.curvature[m][k] += p[c] * left * (members.row(k, row)[c] - mean[k]);
      }
  }
  for (std::size_t m = 0; m < count; ++m) {
    const double away = weights[m] - 1.0 / static_cast<double>(count);
    point.loss += kPrior * away * away;
    point.gradient[m] += 2 * kPrior * away;
    point.curvature[m][m] += 2 * kPrior;
  }
  return point;
}

// Gauss and Jordan, for a few unknowns and a positive definite matrix.
std::vector<double> solve(std::vector<std::vector<double>> matrix, std::vector<double> right) {
  const std::size_t count = right.size();
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < count; ++j) {
      if (i == j) continue;
      const double factor = matrix[j][i] / matrix[i][i];
      for (std::size_t k = i; k < count; ++k) matrix[j][k] -= factor * matrix[i][k];
      right[j] -= factor * right[i];
    }
  for (std::size_t i = 0; i < count; ++i) right[i] /= matrix[i][i];
  return right;
}

// A member that stands at 0 and would go below has no part in the step.
std::vector<double> newton_step(const Point& point, std::span<const double> weights) {
  std::vector<std::size_t> free;
  for (std::size_t m = 0; m < weights.size(); ++m)
    if (weights[m] > 0 || point.gradient[m] < 0) free.push_back(m);
  std::vector<std::vector<double>> matrix(free.size(), std::vector<double>(free.size()));
  std::vector<double> right(free.size());
  for (std::size_t i = 0; i < free.size(); ++i) {
    right[i] = -point.gradient[free[i]];
    for (std::size_t j = 0; j < free.size(); ++j) matrix[i][j] = point.curvature[free[i]][free[j]];
  }
  const auto solved = solve(std::move(matrix), std::move(right));
  std::vector<double> step(weights.size());
  for (std::size_t i = 0; i < free.size(); ++i) step[free[i]] = solved[i];
  return step;
}

std::vector<double> fit(std::span<const std::uint32_t> labels, const Logarithms& members,
                        std::span<const std::size_t> rows) {
  const std::size_t count = members.values.size();
  std::vector<double> weights(count, 1.0 / static_cast<double>(count));
  Point point = evaluate(labels, members, rows, weights);
  for (int i = 0; i < kSteps; ++i) {
    const std::vector<double> step = newton_step(point, weights);
    bool better = false;
    for (double size = 1; size > 1e-6 && !better; size /= 2) {
      std::vector<double> next = weights;
      for (std::size_t m = 0; m < next.size(); ++m)
        next[m] = std::max(0.0, next[m] + size * step[m]);
      Point there = evaluate(labels, members, rows, next);
      better = there.loss < point.loss - 1e-12 * std::abs(point.loss);
      if (!better) continue;
      weights = std::move(next);
      point = std::move(there);
    }
    if (!better) break;
  }
  return weights;
}

}  // namespace

ProbabilityTable blend(Members members, std::span<const double> weights) {
  check(members, members.empty() ? 0 : members[0]->rows());
  if (weights.size() != members.size())
    throw Error(Fault::invalid_argument, "a blend has as many weights as classifiers");
  ProbabilityTable table{.classes = members[0]->classes, .values = {}};
  table.values.resize(members[0]->values.size());
  const Logarithms logarithms(members);
  for (std::size_t row = 0; row < table.rows(); ++row)
    blend_row(logarithms, weights, row, table.row(row));
  return table;
}

std::vector<double> fit_blend(std::span<const std::uint32_t> labels, Members members) {
  check(members, labels.size());
  std::vector<std::size_t> rows(labels.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  return fit(labels, Logarithms(members), rows);
}

ProbabilityTable cross_fitted_blend(std::span<const std::uint32_t> labels, Members members,
                                    std::uint64_t seed) {
  check(members, labels.size());
  const auto folds = stratified_folds(labels, 2, seed);
  ProbabilityTable table{.classes = members[0]->classes, .values = {}};
  table.values.resize(members[0]->values.size());
  const Logarithms logarithms(members);
  for (std::uint32_t fold = 0; fold < 2; ++fold) {
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (folds[i] != fold) others.push_back(i);
    const auto weights = fit(labels, logarithms, others);
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (folds[i] == fold) blend_row(logarithms, weights, i, table.row(i));
  }
  return table;
}

}  // namespace malina::eval
