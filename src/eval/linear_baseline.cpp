#include "eval/linear_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "eval/stratified.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

// Weights of one model at most: 256 MB.
constexpr std::size_t kMostWeights = std::size_t{1} << 26;
// Above this many examples one fold of five decides instead of all: its noise is small enough then.
constexpr std::size_t kFullCrossValidation = 2000;
constexpr std::size_t kFolds = 5;
constexpr double kFirstCost = 4, kCostStep = 4, kLeastCost = 1.0 / 64, kMostCost = 64;
constexpr std::size_t kRowsAtOnce = 64;  // one task of the pool

using Indices = std::span<const std::size_t>;

// Examples of one kind: how features are learned from some of them, and what rows these make.
struct TextExamples {
  using Features = TextFeatures;
  std::span<const std::string> texts;

  std::size_t size() const { return texts.size(); }
  std::vector<std::string> chosen(Indices indices) const {
    std::vector<std::string> result;
    result.reserve(indices.size());
    for (const std::size_t i : indices) result.push_back(texts[i]);
    return result;
  }
  TextFeatures features(Indices indices, std::size_t classes, base::ThreadPool& pool) const {
    return TextFeatures::fit(chosen(indices), pool,
                             std::min(TextFeatures::kMostTerms, kMostWeights / classes));
  }
  SparseRows rows(const TextFeatures& features, Indices indices, base::ThreadPool& pool) const {
    return features.rows(chosen(indices), pool);
  }
};

// The columns that do not vary have scale 0 and are left out.
SparseRow scaled_row(const ColumnScaling& scaling, std::span<const float> values) {
  SparseRow row;
  for (std::size_t column = 0; column < values.size(); ++column) {
    if (scaling.scales[column] == 0) continue;
    row.columns.push_back(static_cast<std::uint32_t>(column));
    row.values.push_back((values[column] - scaling.means[column]) * scaling.scales[column]);
  }
  return row;
}

struct DenseExamples {
  using Features = ColumnScaling;
  DenseRows dense;

  std::size_t size() const { return dense.rows(); }
  ColumnScaling features(Indices indices, std::size_t, base::ThreadPool&) const {
    ColumnScaling scaling{std::vector<float>(dense.width), std::vector<float>(dense.width)};
    const double count = static_cast<double>(indices.size());
    for (std::size_t column = 0; column < dense.width; ++column) {
      double sum = 0, squares = 0;
      for (const std::size_t i : indices) sum += dense.row(i)[column];
      const double mean = sum / count;
      for (const std::size_t i : indices) {
        const double difference = dense.row(i)[column] - mean;
        squares += difference * difference;
      }
      const double deviation = std::sqrt(squares / count);
      scaling.means[column] = static_cast<float>(mean);
      // What is left of rounding is no variation.
      if (deviation > 1e-6 * std::abs(mean))
        scaling.scales[column] =
            static_cast<float>(1 / (deviation * std::sqrt(static_cast<double>(dense.width))));
      if (!std::isfinite(scaling.scales[column])) scaling.scales[column] = 0;
    }
    return scaling;
  }
  SparseRows rows(const ColumnScaling& scaling, Indices indices, base::ThreadPool&) const {
    SparseRows result;
    result.width = dense.width;
    for (const std::size_t i : indices) result.add(scaled_row(scaling, dense.row(i)));
    return result;
  }
};

void check_labels(std::size_t examples, std::span<const std::string> labels,
                  const LinearOptions& options) {
  if (examples != labels.size())
    throw Error(Fault::invalid_argument,
                fmt::format("there are {} examples and {} labels", examples, labels.size()));
  for (const std::string& label : labels)
    if (label.size() > LinearBaseline::kLongestLabel)
      throw Error(Fault::invalid_argument,
                  fmt::format("a label is longer than {} bytes", LinearBaseline::kLongestLabel));
  if (!(options.cost >= 0) || !std::isfinite(options.cost))
    throw Error(Fault::invalid_argument, "the cost of an error is not a positive number");
}

ClassIndex checked_classes(std::span<const std::string> labels) {
  ClassIndex index = index_classes(labels);
  if (index.names.size() < 2)
    throw Error(Fault::invalid_argument,
                "a classifier needs examples of at least two different labels");
  return index;
}

void check_dense(const DenseRows& rows) {
  if (rows.width == 0 || rows.values.size() % rows.width != 0)
    throw Error(Fault::invalid_argument, "the features are not whole rows of one width");
  for (const float value : rows.values)
    if (!std::isfinite(value)) throw Error(Fault::invalid_argument, "a feature is not a number");
}

ProbabilityTable table_of(const LogisticWeights& weights, const SparseRows& rows,
                          base::ThreadPool& pool) {
  ProbabilityTable table{weights.classes, std::vector<double>(rows.rows() * weights.classes)};
  pool.run((rows.rows() + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t task) {
    const std::size_t end = std::min(rows.rows(), (task + 1) * kRowsAtOnce);
    for (std::size_t i = task * kRowsAtOnce; i < end; ++i) {
      const std::size_t begin = rows.begins[i], count = rows.begins[i + 1] - begin;
      weights.probabilities(std::span(rows.columns).subspan(begin, count),
                            std::span(rows.values).subspan(begin, count), table.row(i));
    }
  });
  return table;
}

std::vector<std::uint32_t> labels_at(std::span<const std::uint32_t> labels, Indices indices) {
  std::vector<std::uint32_t> result;
  result.reserve(indices.size());
  for (const std::size_t i : indices) result.push_back(labels[i]);
  return result;
}

struct Fold {
  std::vector<std::size_t> inside, outside;
};

Fold fold_of(std::span<const std::uint32_t> folds, std::uint32_t number) {
  Fold fold;
  for (std::size_t i = 0; i < folds.size(); ++i)
    (folds[i] == number ? fold.inside : fold.outside).push_back(i);
  return fold;
}

// One fold with its rows, ready to be fitted with any cost.
struct Trial {
  SparseRows training, held_out;
  std::vector<std::uint32_t> training_labels, held_out_labels;
};

template <class Examples>
std::vector<Trial> trials(const Examples& examples, const ClassIndex& classes, std::uint64_t seed,
                          base::ThreadPool& pool) {
  const auto folds = stratified_folds(classes.of, kFolds, seed);
  const std::size_t used = examples.size() > kFullCrossValidation ? 1 : kFolds;
  std::vector<Trial> result;
  for (std::uint32_t number = 0; number < used; ++number) {
    const Fold fold = fold_of(folds, number);
    if (fold.inside.empty() || fold.outside.empty()) continue;
    const auto features = examples.features(fold.outside, classes.names.size(), pool);
    result.push_back({examples.rows(features, fold.outside, pool),
                      examples.rows(features, fold.inside, pool),
                      labels_at(classes.of, fold.outside), labels_at(classes.of, fold.inside)});
  }
  return result;
}

std::size_t right_answers(std::span<const Trial> trials, std::size_t classes, double cost,
                          base::ThreadPool& pool) {
  std::size_t right = 0;
  for (const Trial& trial : trials) {
    const LogisticWeights weights =
        fit_logistic(trial.training, trial.training_labels, classes, {.cost = cost}, pool);
    const ProbabilityTable table = table_of(weights, trial.held_out, pool);
    for (std::size_t i = 0; i < table.rows(); ++i)
      right += likeliest(table.row(i)) == trial.held_out_labels[i];
  }
  return right;
}

template <class Examples>
double chosen_cost(const Examples& examples, const ClassIndex& classes, std::uint64_t seed,
                   base::ThreadPool& pool) {
  const std::vector<Trial> all = trials(examples, classes, seed, pool);
  const auto right = [&](double cost) {
    return right_answers(all, classes.names.size(), cost, pool);
  };
  double best = kFirstCost;
  std::size_t most = right(best);
  bool rising = false;
  for (double cost = best * kCostStep; cost <= kMostCost; cost *= kCostStep) {
    const std::size_t answers = right(cost);
    if (answers <= most) break;
    best = cost, most = answers, rising = true;
  }
  for (double cost = best / kCostStep; !rising && cost >= kLeastCost; cost /= kCostStep) {
    const std::size_t answers = right(cost);
    if (answers < most) break;
    best = cost, most = answers;
  }
  return best;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

template <class Examples>
ProbabilityTable out_of_fold(const Examples& examples, std::span<const std::string> labels,
                             std::size_t folds, const LinearOptions& options,
                             base::ThreadPool& pool) {
  check_labels(examples.size(), labels, options);
  const ClassIndex classes = checked_classes(labels);
  if (folds < 2 || folds > examples.size())
    throw Error(Fault::invalid_argument,
                fmt::format("{} examples cannot be cut into {} folds", examples.size(), folds));
  const double cost =
      options.cost > 0 ? options.cost : chosen_cost(examples, classes, options.seed, pool);
  const auto fold_numbers = stratified_folds(classes.of, folds, options.seed);
  const std::size_t width = classes.names.size();
  ProbabilityTable result{width, std::vector<double>(examples.size() * width)};
  for (std::uint32_t number = 0; number < folds; ++number) {
    const Fold fold = fold_of(fold_numbers, number);
    const auto features = examples.features(fold.outside, width, pool);
    const LogisticWeights weights =
        fit_logistic(examples.rows(features, fold.outside, pool),
                     labels_at(classes.of, fold.outside), width, {.cost = cost}, pool);
    const ProbabilityTable table =
        table_of(weights, examples.rows(features, fold.inside, pool), pool);
    for (std::size_t i = 0; i < table.rows(); ++i)
      std::copy(table.row(i).begin(), table.row(i).end(), result.row(fold.inside[i]).begin());
  }
  return result;
}

}  // namespace

LinearBaseline::LinearBaseline(Features features, LogisticWeights weights,
                               std::vector<std::string> labels, double cost)
    : features_(std::move(features)),
      weights_(std::move(weights)),
      labels_(std::move(labels)),
      cost_(cost) {}

template <class Examples>
LinearBaseline LinearBaseline::fit_examples(const Examples& examples,
                                            std::span<const std::string> labels,
                                            const LinearOptions& options, base::ThreadPool& pool) {
  check_labels(examples.size(), labels, options);
  ClassIndex classes = checked_classes(labels);
  const double cost =
      options.cost > 0 ? options.cost : chosen_cost(examples, classes, options.seed, pool);
  const std::vector<std::size_t> all = all_of(examples.size());
  auto features = examples.features(all, classes.names.size(), pool);
  LogisticWeights weights = fit_logistic(examples.rows(features, all, pool), classes.of,
                                         classes.names.size(), {.cost = cost}, pool);
  return {std::move(features), std::move(weights), std::move(classes.names), cost};
}

LinearBaseline LinearBaseline::fit(std::span<const std::string> texts,
                                   std::span<const std::string> labels,
                                   const LinearOptions& options, base::ThreadPool& pool) {
  return fit_examples(TextExamples{texts}, labels, options, pool);
}

LinearBaseline LinearBaseline::fit_dense(const DenseRows& rows, std::span<const std::string> labels,
                                         const LinearOptions& options, base::ThreadPool& pool) {
  check_dense(rows);
  return fit_examples(DenseExamples{rows}, labels, options, pool);
}

std::vector<double> LinearBaseline::probabilities(std::string_view text) const {
  const auto* const features = std::get_if<TextFeatures>(&features_);
  if (features == nullptr)
    throw Error(Fault::invalid_argument, "a probe of features cannot be asked for a text");
  const SparseRow row = features->row(text);
  std::vector<double> result(labels_.size());
  weights_.probabilities(row.columns, row.values, result);
  return result;
}

std::vector<double> LinearBaseline::probabilities(std::span<const float> values) const {
  const auto* const scaling = std::get_if<ColumnScaling>(&features_);
  if (scaling == nullptr || values.size() != scaling->means.size())
    throw Error(Fault::invalid_argument, "these are not as many features as were learned from");
  const SparseRow row = scaled_row(*scaling, values);
  std::vector<double> result(labels_.size());
  weights_.probabilities(row.columns, row.values, result);
  return result;
}

ProbabilityTable LinearBaseline::probabilities(std::span<const std::string> texts,
                                               base::ThreadPool& pool) const {
  const auto* const features = std::get_if<TextFeatures>(&features_);
  if (features == nullptr)
    throw Error(Fault::invalid_argument, "a probe of features cannot be asked for texts");
  return table_of(weights_, features->rows(texts, pool), pool);
}

ProbabilityTable LinearBaseline::probabilities(const DenseRows& rows,
                                               base::ThreadPool& pool) const {
  const auto* const scaling = std::get_if<ColumnScaling>(&features_);
  if (scaling == nullptr || rows.width != scaling->means.size())
    throw Error(Fault::invalid_argument, "these are not as many features as were learned from");
  check_dense(rows);
  return table_of(weights_, DenseExamples{rows}.rows(*scaling, all_of(rows.rows()), pool), pool);
}

ProbabilityTable out_of_fold_probabilities(std::span<const std::string> texts,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool) {
  return out_of_fold(TextExamples{texts}, labels, folds, options, pool);
}

ProbabilityTable out_of_fold_probabilities(const DenseRows& rows,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool) {
  check_dense(rows);
  return out_of_fold(DenseExamples{rows}, labels, folds, options, pool);
}

}  // namespace malina::eval
