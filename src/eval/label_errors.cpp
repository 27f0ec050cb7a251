#include "eval/label_errors.h"

#include <algorithm>

#include "base/error.h"

namespace malina::eval {

namespace {

// The mean probability of each class over the rows that bear its label; above 1 for a class
// without any, so that nothing is suspected of being of it.
std::vector<double> thresholds_of(std::span<const std::uint32_t> labels,
                                  const ProbabilityTable& table) {
  std::vector<double> sums(table.classes), counts(table.classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sums[labels[i]] += table.row(i)[labels[i]];
    counts[labels[i]] += 1;
  }
  for (std::size_t k = 0; k < sums.size(); ++k) sums[k] = counts[k] > 0 ? sums[k] / counts[k] : 2;
  return sums;
}

}  // namespace

std::vector<SuspectedLabel> suspected_label_errors(std::span<const std::uint32_t> labels,
                                                   const ProbabilityTable& probabilities) {
  if (labels.size() != probabilities.rows() ||
      std::any_of(labels.begin(), labels.end(),
                  [&](std::uint32_t label) { return label >= probabilities.classes; }))
    throw base::Error(base::Fault::invalid_argument,
                      "the labels and the probabilities are not of the same examples");
  const std::vector<double> thresholds = thresholds_of(labels, probabilities);
  std::vector<SuspectedLabel> suspected;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const double> row = probabilities.row(i);
    std::size_t confident = row.size();
    for (std::size_t k = 0; k < row.size(); ++k)
      if (row[k] >= thresholds[k] && (confident == row.size() || row[k] > row[confident]))
        confident = k;
    if (confident == row.size() || confident == labels[i]) continue;
    const double margin = row[confident] - row[labels[i]];
    // Reaching only the other class's low threshold while the label is likelier is no suspicion.
    if (margin <= 0) continue;
    suspected.push_back({i, labels[i], static_cast<std::uint32_t>(confident), margin});
  }
  std::stable_sort(
      suspected.begin(), suspected.end(),
      [](const SuspectedLabel& a, const SuspectedLabel& b) { return a.margin > b.margin; });
  return suspected;
}

}  // namespace malina::eval
