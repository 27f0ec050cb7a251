// Which learning rate: successive halving (Jamieson and Talwalkar, 2016, "Non-stochastic best arm
// identification and hyperparameter optimization").
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tune/adapter_training.h"
#include "tune/tuning_report.h"

namespace malina::tune {

// One training of this name and recipe, and the best of its epochs; nothing where it was paused.
// May throw DivergedError: then it is the worst.
using SearchRun =
    std::function<std::optional<EpochReport>(const std::string& name, const Recipe& recipe)>;

struct RateSearch {
  std::vector<SearchTrial> trials;  // in the order in which they ran
  float learning_rate = 0;          // the best
};

// Every round trains twice as long as the one before, from the start, and keeps the better half (by
// macro F1, of equal ones by the loss); the whole training that follows is twice as long as the
// last. `rates`: one or more. Nothing where it was paused.
std::optional<RateSearch> search_learning_rate(std::vector<float> rates, const Recipe& recipe,
                                               const SearchRun& run);
// That all of it takes, where the whole training has `epochs`.
std::size_t search_epochs(std::size_t rates, std::size_t epochs);

}  // namespace malina::tune
