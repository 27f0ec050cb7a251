// Labels that a simple model, trained on the other rows, is confident are wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/logistic_regression.h"

namespace malina::tune {

struct WrongLabel {
  std::size_t row;  // of those given
  std::string given, suggested;
  double margin;  // probability of the suggested label less that of the given one
};

// By confident learning (eval/label_errors.h) over the linear baseline's probabilities on five
// folds, surest first. One label each; two different ones or more. The cost is fixed: a search for
// the best would take ten times as long and moves few suspicions. Throws base::Error(cancelled)
// where it was stopped (eval::LogisticOptions::stop).
std::vector<WrongLabel> suspected_wrong_labels(const std::vector<std::string>& texts,
                                               const std::vector<std::string>& labels,
                                               base::ThreadPool& pool, eval::Stop stop = {});

}  // namespace malina::tune
