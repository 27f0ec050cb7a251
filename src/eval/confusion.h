// Which classes are found, and which are taken for another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace malina::eval {

// Of one class, as scikit-learn's precision_recall_fscore_support has them; 0 where there is
// nothing to divide by.
struct ClassScore {
  std::size_t rows = 0;       // expected to be of it
  std::size_t predicted = 0;  // answered so
  std::size_t right = 0;      // both
  double precision = 0, recall = 0, f1 = 0;
};
// One for each of `classes`. Throws invalid_argument where sizes differ or a class is none of them.
std::vector<ClassScore> class_scores(std::span<const std::uint32_t> expected,
                                     std::span<const std::uint32_t> predicted, std::size_t classes);

struct Confusion {
  std::uint32_t expected, predicted;  // never equal
  std::size_t rows;
};
// Every pair that occurs, most rows first, then ascending. Sizes must be equal.
std::vector<Confusion> confusions(std::span<const std::uint32_t> expected,
                                  std::span<const std::uint32_t> predicted);

}  // namespace malina::eval
