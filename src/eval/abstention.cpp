// Answering only some: the second part of calibration.h.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "base/error.h"
#include "eval/calibration.h"
#include "eval/statistics.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

using Labels = std::span<const std::uint32_t>;

// Rows of one confidence, and what they add up to with all more confident ones.
struct Step {
  double confidence;
  std::size_t rows, errors;          // of this confidence
  std::size_t all_rows, all_errors;  // of this one and above
};

std::vector<Step> steps_of(Labels labels, const ProbabilityTable& table) {
  if (labels.empty() || labels.size() != table.rows())
    throw Error(Fault::invalid_argument, "there is not one label for each of some probabilities");
  struct Row {
    double confidence;
    bool wrong;
  };
  std::vector<Row> rows;
  rows.reserve(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t answer = likeliest(table.row(i));
    rows.push_back({table.row(i)[answer], answer != labels[i]});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.confidence > b.confidence; });
  std::vector<Step> steps;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t errors = steps.empty() ? 0 : steps.back().all_errors;
    if (steps.empty() || steps.back().confidence != rows[i].confidence)
      steps.push_back({rows[i].confidence, 0, 0, i, errors});
    Step& step = steps.back();
    ++step.rows;
    ++step.all_rows;
    step.errors += rows[i].wrong;
    step.all_errors += rows[i].wrong;
  }
  return steps;
}

AbstentionThreshold threshold_at(const Step& step, std::size_t rows) {
  const auto answered = static_cast<double>(step.all_rows);
  return {step.confidence, answered / static_cast<double>(rows),
          1 - static_cast<double>(step.all_errors) / answered, step.all_rows};
}

void check_scope(Labels labels, const ProbabilityTable& table, std::uint32_t scope_class) {
  const auto out = std::count(labels.begin(), labels.end(), scope_class);
  if (labels.size() != table.rows() || out == 0 || out == std::ssize(labels))
    throw Error(Fault::invalid_argument,
                "there are no rows that are in scope, or none that are out of it");
}

// Of `rows` so many may be missed.
std::size_t most_missed(std::size_t rows, double recall, double guarantee) {
  const auto missed =
      static_cast<std::size_t>(std::floor((1 - recall) * static_cast<double>(rows) + 1e-9));
  if (guarantee == 0) return missed;
  for (std::size_t proven = missed; proven > 0; --proven)
    if (clopper_pearson_lower(rows - proven, rows, guarantee) >= recall) return proven;
  return 0;
}

// The furthest step that the sequences of tests reach; steps.size() where none is passed.
std::size_t proven_step(const std::vector<Step>& steps, std::size_t rows, double risk,
                        double error_level) {
  constexpr int kStarts[] = {20, 40, 60, 80};  // percent
  std::size_t best = steps.size();
  for (const int start : kStarts) {
    std::size_t at = 0;
    for (int percent = start; percent <= 100; ++percent) {
      const double wanted = static_cast<double>(rows) * percent / 100;
      while (static_cast<double>(steps[at].all_rows) < wanted - 1e-9) ++at;
      const double bound = clopper_pearson_upper(steps[at].all_errors, steps[at].all_rows,
                                                 1 - error_level / std::size(kStarts));
      if (bound > risk) break;
      if (best == steps.size() || at > best) best = at;
    }
  }
  return best;
}

}  // namespace

double AbstentionThreshold::accuracy_low() const {
  if (rows == 0) return 0;
  const auto right = static_cast<std::size_t>(std::llround(accuracy * static_cast<double>(rows)));
  return clopper_pearson_lower(right, rows);
}

std::vector<RiskCoveragePoint> risk_coverage(Labels labels, const ProbabilityTable& table) {
  std::vector<RiskCoveragePoint> points;
  for (const Step& step : steps_of(labels, table)) {
    const auto answered = static_cast<double>(step.all_rows);
    points.push_back({step.confidence, answered / static_cast<double>(labels.size()),
                      static_cast<double>(step.all_errors) / answered});
  }
  return points;
}

double risk_coverage_area(Labels labels, const ProbabilityTable& table) {
  double sum = 0;
  for (const Step& step : steps_of(labels, table)) {
    const std::size_t before = step.all_rows - step.rows;
    const auto errors = static_cast<double>(step.all_errors - step.errors);
    const double share = static_cast<double>(step.errors) / static_cast<double>(step.rows);
    for (std::size_t k = 1; k <= step.rows; ++k)
      sum += (errors + share * static_cast<double>(k)) / static_cast<double>(before + k);
  }
  return sum / static_cast<double>(labels.size());
}

double auroc(std::span<const double> first, std::span<const double> second) {
  if (first.empty() || second.empty())
    throw Error(Fault::invalid_argument, "there is nothing to tell apart");
  std::vector<double> sorted(second.begin(), second.end());
  std::sort(sorted.begin(), sorted.end());
  double wins = 0;
  for (const double score : first) {
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), score) - sorted.begin();
    const auto not_above = std::upper_bound(sorted.begin(), sorted.end(), score) - sorted.begin();
    wins += static_cast<double>(below + not_above) / 2;
  }
  return wins / static_cast<double>(first.size()) / static_cast<double>(second.size());
}

std::optional<AbstentionThreshold> fit_abstention(Labels labels, const ProbabilityTable& table,
                                                  double target_accuracy, double guarantee) {
  if (!(target_accuracy > 0 && target_accuracy <= 1) || !(guarantee >= 0 && guarantee < 1))
    throw Error(Fault::invalid_argument,
                "an accuracy to aim at, or its guarantee, is not a share below 1");
  const std::vector<Step> steps = steps_of(labels, table);
  std::size_t chosen = steps.size();
  if (guarantee > 0) {
    chosen = proven_step(steps, labels.size(), 1 - target_accuracy, 1 - guarantee);
  } else {
    for (std::size_t at = 0; at < steps.size(); ++at)
      if (threshold_at(steps[at], labels.size()).accuracy >= target_accuracy - 1e-12) chosen = at;
  }
  if (chosen == steps.size()) return std::nullopt;
  return threshold_at(steps[chosen], labels.size());
}

AbstentionThreshold fit_scope(Labels labels, const ProbabilityTable& table,
                              std::uint32_t scope_class, double recall, double guarantee) {
  if (!(recall > 0 && recall <= 1) || !(guarantee >= 0 && guarantee < 1))
    throw Error(Fault::invalid_argument, "a recall to aim at, or its guarantee, is not a share");
  check_scope(labels, table, scope_class);
  // Of rows that are answered with another class their confidences, falling: as many of them may
  // stay above the threshold as the recall leaves.
  std::vector<double> taken_in;
  std::size_t out = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != scope_class) continue;
    ++out;
    const std::size_t answer = likeliest(table.row(i));
    if (answer != scope_class) taken_in.push_back(table.row(i)[answer]);
  }
  std::sort(taken_in.begin(), taken_in.end(), std::greater<>());
  const std::size_t missed = most_missed(out, recall, guarantee);
  AbstentionThreshold result{0, 0, 0, 0};
  if (missed < taken_in.size()) result.threshold = std::nextafter(taken_in[missed], 2);
  std::size_t in_scope = 0, answered = 0, right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == scope_class) continue;
    ++in_scope;
    const std::size_t answer = likeliest(table.row(i));
    if (answer == scope_class || table.row(i)[answer] < result.threshold) continue;
    ++answered;
    right += answer == labels[i] ? 1 : 0;
  }
  result.rows = answered;
  result.coverage = static_cast<double>(answered) / static_cast<double>(in_scope);
  if (answered > 0) result.accuracy = static_cast<double>(right) / static_cast<double>(answered);
  return result;
}

bool Calibration::abstains(std::span<const double> probabilities) const {
  const std::size_t answer = likeliest(probabilities);
  return !abstention || probabilities[answer] < abstention->threshold || answer == out_of_scope;
}

ScopeMeasures measure_scope(Labels labels, const ProbabilityTable& table,
                            const Calibration& calibration) {
  const std::uint32_t scope_class = calibration.out_of_scope.value();
  check_scope(labels, table, scope_class);
  std::size_t right = 0, recognised = 0;
  std::vector<double> in_scope, out_of_scope;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = table.row(i);
    const bool abstains = calibration.abstains(row);
    double greatest = 0;
    for (std::size_t k = 0; k < row.size(); ++k)
      if (k != scope_class) greatest = std::max(greatest, row[k]);
    if (labels[i] == scope_class) {
      out_of_scope.push_back(greatest);
      recognised += abstains ? 1 : 0;
    } else {
      in_scope.push_back(greatest);
      right += !abstains && likeliest(row) == labels[i] ? 1 : 0;
    }
  }
  const auto share = [](std::size_t part, const std::vector<double>& of) {
    return static_cast<double>(part) / static_cast<double>(of.size());
  };
  return {.in_scope = in_scope.size(),
          .out_of_scope = out_of_scope.size(),
          .accuracy = share(right, in_scope),
          .recall = share(recognised, out_of_scope),
          .auroc = auroc(in_scope, out_of_scope)};
}

}  // namespace malina::eval
