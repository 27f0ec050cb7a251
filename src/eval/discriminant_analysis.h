// Linear discriminant analysis with a shrunken covariance: what tells classes apart where there are
// few rows of each, since all rows together say how rows of one class vary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "eval/logistic_regression.h"
#include "eval/sparse_rows.h"

namespace malina::eval {

// With S the covariance of the rows about the means of their classes, d its width, s the shrinkage,
//   S' = (1 - s) S + s trace(S) / d I  (Ledoit and Wolf, 2004, with a given s), and a class's score
//   ln p(class | x) = m.S'^-1 x - m.S'^-1 m / 2 + ln p(class) + a term that all have
// where m is the class's mean. A class without rows has the mean of all; each counts half a row
// more than it has. Rows are dense, if not in every column.
class DiscriminantAnalysis {
 public:
  // labels: the class of each row, below `classes`. Throws invalid_argument where sizes do not fit,
  // the width is beyond kMostWidth, or a value is not finite. Memory: 8 bytes for each value while
  // it is made, for each pair of columns, and for each column of each class.
  DiscriminantAnalysis(const SparseRows& rows, std::span<const std::uint32_t> labels,
                       std::size_t classes, base::ThreadPool& pool);

  // Scores of classes (LogisticWeights::scores) divided by `temperature`, of which the softmax are
  // probabilities: at 1 far too confident ones, since S is of the rows that the means are of.
  // `shrinkage`: more than 0, at most 1. The same for any number of threads. Throws
  // invalid_argument, also where features are so far apart that a weight is not finite. Memory: as
  // much again as it has.
  LogisticWeights weights(double shrinkage, double temperature, base::ThreadPool& pool) const;

  static constexpr std::size_t kMostWidth = 2048;

 private:
  std::size_t width_, classes_, rows_;
  std::vector<double> means_;        // [classes, width]
  std::vector<std::size_t> counts_;  // of rows, by class
  std::vector<double> covariance_;   // [width, width], the lower half
};

}  // namespace malina::eval
