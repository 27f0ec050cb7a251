#include "eval/confusion.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"

namespace malina::eval {

namespace {

double ratio(std::size_t part, std::size_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

std::vector<ClassScore> class_scores(std::span<const std::uint32_t> expected,
                                     std::span<const std::uint32_t> predicted,
                                     std::size_t classes) {
  const auto beyond = [&](std::uint32_t k) { return k >= classes; };
  if (expected.size() != predicted.size() ||
      std::any_of(expected.begin(), expected.end(), beyond) ||
      std::any_of(predicted.begin(), predicted.end(), beyond))
    throw base::Error(base::Fault::invalid_argument,
                      "the expected and the predicted classes are not of the same rows");
  std::vector<ClassScore> scores(classes);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ++scores[expected[i]].rows;
    ++scores[predicted[i]].predicted;
    if (expected[i] == predicted[i]) ++scores[expected[i]].right;
  }
  for (ClassScore& score : scores) {
    score.precision = ratio(score.right, score.predicted);
    score.recall = ratio(score.right, score.rows);
    score.f1 = ratio(2 * score.right, score.rows + score.predicted);
  }
  return scores;
}

std::vector<Confusion> confusions(std::span<const std::uint32_t> expected,
                                  std::span<const std::uint32_t> predicted) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> counts;
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (expected[i] != predicted[i]) ++counts[{expected[i], predicted[i]}];
  std::vector<Confusion> pairs;
  for (const auto& [pair, rows] : counts) pairs.push_back({pair.first, pair.second, rows});
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Confusion& a, const Confusion& b) { return a.rows > b.rows; });
  return pairs;
}

}  // namespace malina::eval
