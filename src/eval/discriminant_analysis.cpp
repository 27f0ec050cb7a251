#include "eval/discriminant_analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/example_check.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kRowsAtOnce = 16;  // of a matrix, one task of the pool

void check(const SparseRows& rows, std::span<const std::uint32_t> labels, std::size_t classes) {
  check_examples(rows, labels, classes);
  if (rows.width == 0 || rows.width > DiscriminantAnalysis::kMostWidth)
    throw Error(
        Fault::invalid_argument,
        fmt::format("a discriminant analysis of {} columns is none, or too large", rows.width));
}

// In an order of its own, so that it is vectorised.
double dot(const double* x, const double* y, std::size_t count) {
  double sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (std::size_t k = 0; k < 4; ++k) sums[k] += x[i + k] * y[i + k];
  for (; i < count; ++i) sums[0] += x[i] * y[i];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// L of a = L L', in the lower half. `a`: [width, width], positive definite.
void factor(std::vector<double>& a, std::size_t width, base::ThreadPool& pool) {
  const auto row = [&](std::size_t i) { return a.data() + i * width; };
  for (std::size_t k = 0; k < width; ++k) {
    double* const pivot = row(k);
    pivot[k] = std::sqrt(std::max(pivot[k] - dot(pivot, pivot, k), 1e-300));
    const std::size_t below = width - k - 1;
    pool.run((below + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t task) {
      const std::size_t begin = k + 1 + task * kRowsAtOnce;
      for (std::size_t i = begin; i < std::min(width, begin + kRowsAtOnce); ++i) {
        double* const target = row(i);
        target[k] = (target[k] - dot(target, pivot, k)) / pivot[k];
      }
    });
  }
}

// x of L L' x = b, in place.
void solve(const std::vector<double>& factor, std::size_t width, std::span<double> x) {
  for (std::size_t i = 0; i < width; ++i) {
    const double* const row = factor.data() + i * width;
    x[i] = (x[i] - dot(row, x.data(), i)) / row[i];
  }
  for (std::size_t i = width; i-- > 0;) {
    const double* const row = factor.data() + i * width;
    x[i] /= row[i];
    for (std::size_t j = 0; j < i; ++j) x[j] -= row[j] * x[i];
  }
}

}  // namespace

DiscriminantAnalysis::DiscriminantAnalysis(const SparseRows& rows,
                                           std::span<const std::uint32_t> labels,
                                           std::size_t classes, base::ThreadPool& pool)
    : width_(rows.width), classes_(classes), rows_(rows.rows()) {
  check(rows, labels, classes);
  counts_.resize(classes);
  means_.resize(classes * width_);
  std::vector<double> all(width_);
  const auto each = [&](std::size_t i, const auto& use) {
    for (std::size_t at = rows.begins[i]; at < rows.begins[i + 1]; ++at)
      use(rows.columns[at], static_cast<double>(rows.values[at]));
  };
  for (std::size_t i = 0; i < rows_; ++i) {
    ++counts_[labels[i]];
    each(i, [&](std::uint32_t column, double value) {
      means_[labels[i] * width_ + column] += value;
      all[column] += value / static_cast<double>(rows_);
    });
  }
  for (std::size_t c = 0; c < classes; ++c) {
    const std::span<double> mean = std::span(means_).subspan(c * width_, width_);
    if (counts_[c] == 0) std::copy(all.begin(), all.end(), mean.begin());
    for (double& value : mean) value /= static_cast<double>(std::max<std::size_t>(counts_[c], 1));
  }
  std::vector<double> centred(rows_ * width_);  // by column, so that sums run along memory
  for (std::size_t i = 0; i < rows_; ++i) {
    for (std::size_t column = 0; column < width_; ++column)
      centred[column * rows_ + i] = -means_[labels[i] * width_ + column];
    each(i, [&](std::uint32_t column, double value) { centred[column * rows_ + i] += value; });
  }
  covariance_.resize(width_ * width_);
  pool.run((width_ + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t task) {
    const std::size_t begin = task * kRowsAtOnce, end = std::min(width_, begin + kRowsAtOnce);
    for (std::size_t b = 0; b < end; ++b)
      for (std::size_t a = std::max(begin, b); a < end; ++a) {
        const double* const x = centred.data() + a * rows_;
        covariance_[a * width_ + b] =
            dot(x, centred.data() + b * rows_, rows_) / static_cast<double>(rows_);
      }
  });
}

LogisticWeights DiscriminantAnalysis::weights(double shrinkage, double temperature,
                                              base::ThreadPool& pool) const {
  if (!(shrinkage > 0) || shrinkage > 1)
    throw Error(Fault::invalid_argument, "a shrinkage is not more than 0 and at most 1");
  if (!(temperature > 0) || !std::isfinite(temperature))
    throw Error(Fault::invalid_argument, "a temperature is not a positive number");
  std::vector<double> shrunken = covariance_;
  double trace = 0;
  for (std::size_t i = 0; i < width_; ++i) trace += covariance_[i * width_ + i];
  for (double& value : shrunken) value *= 1 - shrinkage;
  // Rows that are all their class's mean do not vary at all.
  const double even = std::max(trace / static_cast<double>(width_), 1e-12);
  for (std::size_t i = 0; i < width_; ++i) shrunken[i * width_ + i] += shrinkage * even;
  factor(shrunken, width_, pool);
  LogisticWeights result{width_, classes_, std::vector<float>((width_ + 1) * classes_)};
  std::vector<double> directions = means_;
  pool.run(classes_, [&](std::size_t c) {
    const std::span<const double> mean = std::span(means_).subspan(c * width_, width_);
    const std::span<double> direction = std::span(directions).subspan(c * width_, width_);
    solve(shrunken, width_, direction);
    const double prior = (static_cast<double>(counts_[c]) + 0.5) /
                         (static_cast<double>(rows_) + 0.5 * static_cast<double>(classes_));
    double bias = std::log(prior);
    for (std::size_t i = 0; i < width_; ++i) {
      bias -= direction[i] * mean[i] / 2;
      result.weights[i * classes_ + c] = static_cast<float>(direction[i] / temperature);
    }
    result.weights[width_ * classes_ + c] = static_cast<float>(bias / temperature);
  });
  for (const float weight : result.weights)
    if (!std::isfinite(weight))
      throw Error(Fault::invalid_argument,
                  "features are too far apart for a discriminant analysis");
  return result;
}

}  // namespace malina::eval
