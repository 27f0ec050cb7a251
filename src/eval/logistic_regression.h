// Logistic regression, one class against the rest, by liblinear (Fan et al. 2008, "LIBLINEAR: A
// library for large linear classification").
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "eval/sparse_rows.h"

namespace malina::eval {

// For each class k the minimiser w of
//   1/2 |w|^2 + C * sum over rows i of ln(1 + exp(-y_i w.x_i))
// with y_i = 1 for rows of the class and -1 for the others, and a constant 1 added to every x: the
// bias is regularised like the rest. Two classes are one problem.
struct LogisticWeights {
  std::size_t width = 0;
  std::size_t classes = 0;
  std::vector<float> weights;  // [width + 1, classes]: those of a column lie together; bias last

  // The logit of every class against the rest. scores: [classes].
  void scores(std::span<const std::uint32_t> columns, std::span<const float> values,
              std::span<double> scores) const;
  // Sigmoids of the scores, divided by their sum, as liblinear's predict_probability does. Not
  // calibrated: they tend to be too flat. probabilities: [classes].
  void probabilities(std::span<const std::uint32_t> columns, std::span<const float> values,
                     std::span<double> probabilities) const;
  // The softmax of the scores, none below e^-60 of the greatest. probabilities: [classes].
  void softmax(std::span<const std::uint32_t> columns, std::span<const float> values,
               std::span<double> probabilities) const;
};

// Whether who waits for a fit no longer does. It must not throw.
using Stop = std::function<bool()>;
void throw_where_stopped(const Stop& stop);  // base::Error(cancelled)

struct LogisticOptions {
  double cost = 10;  // C
  // Of liblinear's stopping rule: the gradient has shrunk to this share of where it began, times
  // the share of the rarer side.
  double tolerance = 0.1;
  Stop stop = {};  // asked by the calling thread before classes; true: stops here
};

// labels: the class of each row, below `classes`. A class without rows is one that every row speaks
// against. The result does not depend on the pool's threads, which take classes. Throws
// invalid_argument where sizes do not fit, a value is not finite or the cost not positive, and
// cancelled where it was stopped.
// Memory: 16 bytes for every value, and for every thread 8 doubles for every column.
LogisticWeights fit_logistic(const SparseRows& rows, std::span<const std::uint32_t> labels,
                             std::size_t classes, const LogisticOptions& options,
                             base::ThreadPool& pool);

}  // namespace malina::eval
