#include "tune/rate_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace malina::tune {

namespace {

std::size_t rounds_of(std::size_t rates) {
  std::size_t rounds = 0;
  for (std::size_t left = rates; left > 1; left = (left + 1) / 2) ++rounds;
  return rounds;
}

std::size_t epochs_of(std::size_t epochs, std::size_t rounds, std::size_t round) {
  return std::max<std::size_t>(1, epochs >> (rounds - round));
}

// The better ones first: by macro F1, of equal ones by the loss.
bool better(const SearchTrial* a, const SearchTrial* b) {
  return a->macro_f1 > b->macro_f1 || (a->macro_f1 == b->macro_f1 && a->loss < b->loss);
}

// Marks the better half, which is kept. Their rates.
std::vector<float> keep_half(std::vector<SearchTrial>& trials) {
  std::vector<SearchTrial*> order;
  for (SearchTrial& one : trials) order.push_back(&one);
  std::stable_sort(order.begin(), order.end(), better);
  std::vector<float> rates;
  for (std::size_t i = 0; i < (order.size() + 1) / 2; ++i) {
    order[i]->kept = true;
    rates.push_back(order[i]->learning_rate);
  }
  return rates;
}

}  // namespace

bool search_learning_rate(std::vector<float> rates, Recipe& recipe,
                          std::vector<SearchTrial>& trials, const SearchRun& run) {
  if (rates.empty()) return true;
  std::vector<SearchTrial> all;
  const std::size_t rounds = rounds_of(rates.size());
  for (std::size_t round = 0; round < rounds; ++round) {
    Recipe shorter = recipe;
    shorter.epochs = epochs_of(recipe.epochs, rounds, round);
    std::vector<SearchTrial> tried;
    for (const float rate : rates) {
      shorter.learning_rate = rate;
      try {
        const auto result = run(fmt::format("search-{}-{:g}", shorter.epochs, rate), shorter);
        if (!result) return false;
        const EpochReport& best = result->best;
        tried.push_back({rate, shorter.epochs, best.loss, best.accuracy, best.macro_f1, false});
      } catch (const DivergedError&) {
        constexpr double kLost = std::numeric_limits<double>::infinity();
        tried.push_back({rate, shorter.epochs, kLost, 0, 0, false});
      }
    }
    rates = keep_half(tried);
    all.insert(all.end(), tried.begin(), tried.end());
  }
  recipe.learning_rate = rates.front();
  trials = std::move(all);
  return true;
}

std::size_t search_epochs(std::size_t rates, std::size_t epochs) {
  const std::size_t rounds = rounds_of(rates);
  std::size_t all = 0;
  for (std::size_t round = 0; round < rounds; ++round, rates = (rates + 1) / 2)
    all += rates * epochs_of(epochs, rounds, round);
  return all;
}

}  // namespace malina::tune
