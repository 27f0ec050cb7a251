// Which learning rate: successive halving (Jamieson and Talwalkar, 2016, "Non-stochastic best arm
// identification and hyperparameter optimization").
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tune/trial.h"
#include "tune/tuning_report.h"

namespace malina::tune {

// One training of this name and recipe; nothing where it was paused. May throw DivergedError: then
// it is the worst.
using SearchRun =
    std::function<std::optional<TrialResult>(const std::string& name, const Recipe& recipe)>;

// Every round trains twice as long as the one before, from the start, and keeps the better half (by
// macro F1, of equal ones by the loss); the whole training that follows is twice as long as the
// last. The recipe gets the best of the rates; where there are none it stays. `trials`: what was
// tried, in the order in which it ran. False where it was paused.
bool search_learning_rate(std::vector<float> rates, Recipe& recipe,
                          std::vector<SearchTrial>& trials, const SearchRun& run);
// That all of it takes, where the whole training has `epochs`.
std::size_t search_epochs(std::size_t rates, std::size_t epochs);

}  // namespace malina::tune
