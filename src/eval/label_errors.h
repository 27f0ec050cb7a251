// Suspected wrong labels by confident learning (Northcutt, Jiang and Chuang 2021, "Confident
// learning: estimating uncertainty in dataset labels", J. Artificial Intelligence Research 70).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/probability_table.h"

namespace malina::eval {

struct SuspectedLabel {
  std::size_t row;
  std::uint32_t given;      // its class as labelled
  std::uint32_t suggested;  // what the model is confident of
  // The suggested class's probability less the given one's, in [0, 1]: how sure.
  double margin;
};

// labels: the class of each row; probabilities: of a model that has not seen the row
// (out_of_fold_probabilities), with as many rows. A class's threshold is its mean probability over
// the rows labelled with it. A row is confidently of the likeliest class among those whose
// thresholds its probabilities reach; where that is not its label, it is off the diagonal of the
// confident joint, and suspected ("C_confusion" would take every wrong answer instead). Ordered by
// falling margin, then by row. Throws invalid_argument where the sizes do not fit.
std::vector<SuspectedLabel> suspected_label_errors(std::span<const std::uint32_t> labels,
                                                   const ProbabilityTable& probabilities);

}  // namespace malina::eval
