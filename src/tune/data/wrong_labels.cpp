#include "tune/data/wrong_labels.h"

#include "eval/label_errors.h"
#include "eval/linear_baseline.h"
#include "eval/stratified.h"

namespace malina::tune {

std::vector<WrongLabel> suspected_wrong_labels(const std::vector<std::string>& texts,
                                               const std::vector<std::string>& labels,
                                               base::ThreadPool& pool, eval::Stop stop) {
  constexpr std::size_t kFolds = 5;
  constexpr double kCost = 4;
  const auto classes = eval::index_classes(labels);
  const auto probabilities = eval::out_of_fold_probabilities(
      texts, labels, kFolds, {.cost = kCost, .seed = 1, .stop = std::move(stop)}, pool);
  std::vector<WrongLabel> found;
  for (const auto& one : eval::suspected_label_errors(classes.of, probabilities))
    found.push_back({one.row, classes.names[one.given], classes.names[one.suggested], one.margin});
  return found;
}

}  // namespace malina::tune
