#include "eval/calibration.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/stratified.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

constexpr double kLeastProbability = 1e-300;

using Labels = std::span<const std::uint32_t>;

void check(Labels labels, const ProbabilityTable& table) {
  if (labels.empty() || labels.size() != table.rows())
    throw Error(Fault::invalid_argument, "there is not one label for each of some probabilities");
  for (const std::uint32_t label : labels)
    if (label >= table.classes)
      throw Error(Fault::invalid_argument, "a label is not one of the classes");
}

double log_of(double probability) { return std::log(std::max(probability, kLeastProbability)); }

// The slope of a row's negative log-likelihood in b = 1/T: the mean of ln p under the probabilities
// p^b, less the label's own.
double slope(std::span<const double> logs, std::uint32_t label, double b) {
  const double most = *std::max_element(logs.begin(), logs.end());
  double sum = 0, weighted = 0;
  for (const double log : logs) {
    const double weight = std::exp(b * (log - most));
    sum += weight;
    weighted += weight * log;
  }
  return weighted / sum - logs[label];
}

ProbabilityTable part_of(const ProbabilityTable& table, std::span<const std::size_t> rows) {
  ProbabilityTable part{table.classes, {}};
  part.values.reserve(rows.size() * table.classes);
  for (const std::size_t i : rows)
    part.values.insert(part.values.end(), table.row(i).begin(), table.row(i).end());
  return part;
}

std::vector<std::uint32_t> part_of(Labels labels, std::span<const std::size_t> rows) {
  std::vector<std::uint32_t> part;
  part.reserve(rows.size());
  for (const std::size_t i : rows) part.push_back(labels[i]);
  return part;
}

}  // namespace

double fit_temperature(Labels labels, const ProbabilityTable& table) {
  check(labels, table);
  std::vector<double> logs(table.values.size());
  std::transform(table.values.begin(), table.values.end(), logs.begin(), log_of);
  const auto whole_slope = [&](double b) {
    double sum = 0;
    for (std::size_t i = 0; i < labels.size(); ++i)
      sum += slope(std::span(logs).subspan(i * table.classes, table.classes), labels[i], b);
    return sum;
  };
  double low = std::log(1 / kMostTemperature), high = std::log(1 / kLeastTemperature);
  if (whole_slope(std::exp(low)) >= 0) return kMostTemperature;
  if (whole_slope(std::exp(high)) <= 0) return kLeastTemperature;
  for (int step = 0; step < 50; ++step) {
    const double middle = (low + high) / 2;
    (whole_slope(std::exp(middle)) < 0 ? low : high) = middle;
  }
  return std::exp(-(low + high) / 2);
}

void apply_temperature(std::span<double> probabilities, double temperature) {
  if (!(temperature > 0) || !std::isfinite(temperature))
    throw Error(Fault::invalid_argument, "a temperature is not a positive number");
  if (probabilities.empty()) return;
  for (double& probability : probabilities) probability = log_of(probability) / temperature;
  softmax(probabilities);
}

ProbabilityTable with_temperature(ProbabilityTable table, double temperature) {
  for (std::size_t i = 0; i < table.rows(); ++i) apply_temperature(table.row(i), temperature);
  return table;
}

std::vector<double> brier_scores(Labels labels, const ProbabilityTable& table) {
  check(labels, table);
  std::vector<double> scores(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const double> row = table.row(i);
    for (std::size_t k = 0; k < row.size(); ++k) {
      const double difference = row[k] - (k == labels[i] ? 1 : 0);
      scores[i] += difference * difference;
    }
  }
  return scores;
}

namespace {

// E |X / n - p| of a binomial X.
double mean_deviation(std::size_t rows, double p) {
  if (p <= 0 || p >= 1) return 0;
  const auto n = static_cast<double>(rows);
  const double k = std::floor(n * p) + 1;
  const double log_choose = std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
  return 2 * k / n * std::exp(log_choose + k * std::log(p) + (n - k + 1) * std::log1p(-p));
}

}  // namespace

CalibrationMeasures measure_calibration(Labels labels, const ProbabilityTable& table,
                                        std::size_t bins) {
  check(labels, table);
  if (bins == 0) throw Error(Fault::invalid_argument, "there are no bins");
  CalibrationMeasures result{};
  for (std::size_t bin = 0; bin < bins; ++bin)
    result.bins.push_back({static_cast<double>(bin) / static_cast<double>(bins),
                           static_cast<double>(bin + 1) / static_cast<double>(bins), 0, 0, 0});
  const auto count = static_cast<double>(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const double> row = table.row(i);
    const std::size_t answer = likeliest(row);
    const bool right = answer == labels[i];
    // (low, high]: a confidence on a border belongs to the bin below it.
    const double place = std::ceil(row[answer] * static_cast<double>(bins)) - 1;
    ReliabilityBin& bin =
        result
            .bins[static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(bins - 1)))];
    ++bin.rows;
    bin.confidence += row[answer];
    bin.accuracy += right;
    result.accuracy += right / count;
    result.negative_log_likelihood -= log_of(row[labels[i]]) / count;
  }
  for (const double score : brier_scores(labels, table)) result.brier += score / count;
  for (ReliabilityBin& bin : result.bins) {
    if (bin.rows == 0) continue;
    bin.confidence /= static_cast<double>(bin.rows);
    bin.accuracy /= static_cast<double>(bin.rows);
    const double share = static_cast<double>(bin.rows) / count;
    result.expected_calibration_error += share * std::abs(bin.accuracy - bin.confidence);
    result.calibration_error_by_chance += share * mean_deviation(bin.rows, bin.confidence);
  }
  result.risk_coverage_area = risk_coverage_area(labels, table);
  return result;
}

double conformal_quantile(Labels labels, const ProbabilityTable& table, double coverage) {
  check(labels, table);
  if (!(coverage > 0 && coverage < 1))
    throw Error(Fault::invalid_argument, "a coverage is not between 0 and 1");
  std::vector<double> scores(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) scores[i] = 1 - table.row(i)[labels[i]];
  // Less a little: 0.9 * 10 must not become 10 by rounding.
  const auto rank = static_cast<std::size_t>(
      std::ceil((static_cast<double>(scores.size()) + 1) * coverage - 1e-9));
  if (rank > scores.size()) return 1;
  std::nth_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(rank - 1),
                   scores.end());
  return scores[rank - 1];
}

std::vector<std::uint32_t> conformal_set(std::span<const double> probabilities, double quantile) {
  std::vector<std::uint32_t> set;
  for (std::uint32_t k = 0; k < probabilities.size(); ++k)
    if (1 - probabilities[k] <= quantile) set.push_back(k);
  std::stable_sort(set.begin(), set.end(), [&](std::uint32_t a, std::uint32_t b) {
    return probabilities[a] > probabilities[b];
  });
  return set;
}

Calibration fit_calibration(Labels labels, const ProbabilityTable& table,
                            const CalibrationOptions& options) {
  check(labels, table);
  const auto parts = stratified_split(labels, std::vector<double>{1, 1, 1}, options.seed);
  if (parts[2].empty())
    throw Error(Fault::invalid_argument, "a calibration needs at least three examples");
  Calibration result;
  result.conformal_coverage = options.conformal_coverage;
  result.temperature = fit_temperature(part_of(labels, parts[0]), part_of(table, parts[0]));
  // Every answer was right: nothing says how sure is too sure, and at the bound all probabilities
  // would be 1, so that no threshold could tell them apart.
  if (result.temperature <= kLeastTemperature) result.temperature = kTemperatureOfNoErrors;
  std::vector<std::size_t> answered = parts[1];
  if (options.out_of_scope) answered.insert(answered.end(), parts[2].begin(), parts[2].end());
  const std::vector<std::uint32_t> expected = part_of(labels, answered);
  const ProbabilityTable given = with_temperature(part_of(table, answered), result.temperature);
  result.out_of_scope = options.out_of_scope;
  result.abstention =
      options.out_of_scope
          ? fit_scope(expected, given, *options.out_of_scope, options.out_of_scope_recall,
                      options.out_of_scope_guarantee)
          : fit_abstention(expected, given, options.target_accuracy, options.guarantee);
  result.conformal_quantile = conformal_quantile(
      part_of(labels, parts[2]), with_temperature(part_of(table, parts[2]), result.temperature),
      options.conformal_coverage);
  return result;
}

}  // namespace malina::eval
