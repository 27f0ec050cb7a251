#include "eval/linear_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "eval/calibration.h"
#include "eval/discriminant_analysis.h"
#include "eval/stratified.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

// Weights of one model at most: 256 MB.
constexpr std::size_t kMostWeights = std::size_t{1} << 26;
// Above this many examples the cost is chosen on one part instead of five folds, learning from so
// many rows and answering as many others: its noise is small enough then, and its time bounded.
constexpr std::size_t kFullCrossValidation = 2000, kTrialRows = 4000;
constexpr std::size_t kFolds = 5;
constexpr double kFirstCost = 16, kCostStep = 4, kLeastCost = 1.0 / 64, kMostCost = 1024;
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
  if (!(options.shrinkage >= 0) || options.shrinkage > 1)
    throw Error(Fault::invalid_argument, "a shrinkage is not a share");
  if (!(options.temperature > 0) || !std::isfinite(options.temperature))
    throw Error(Fault::invalid_argument, "a temperature is not a positive number");
}

void check_of_texts(const LinearOptions& options) {
  if (options.shrinkage > 0)
    throw Error(Fault::invalid_argument, "a discriminant analysis is of dense rows");
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

void probabilities_of(const LogisticWeights& weights, bool discriminant,
                      std::span<const std::uint32_t> columns, std::span<const float> values,
                      std::span<double> target) {
  if (discriminant)
    weights.softmax(columns, values, target);
  else
    weights.probabilities(columns, values, target);
}

LogisticWeights fitted(const SparseRows& rows, std::span<const std::uint32_t> labels,
                       std::size_t classes, const LinearPenalty& penalty, const Stop& stop,
                       base::ThreadPool& pool) {
  if (penalty.discriminant()) {
    throw_where_stopped(stop);
    return DiscriminantAnalysis(rows, labels, classes, pool)
        .weights(penalty.shrinkage, penalty.temperature, pool);
  }
  return fit_logistic(rows, labels, classes, {.cost = penalty.cost, .stop = stop}, pool);
}

ProbabilityTable table_of(const LogisticWeights& weights, bool discriminant, const SparseRows& rows,
                          base::ThreadPool& pool) {
  ProbabilityTable table{weights.classes, std::vector<double>(rows.rows() * weights.classes)};
  pool.run((rows.rows() + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t task) {
    const std::size_t end = std::min(rows.rows(), (task + 1) * kRowsAtOnce);
    for (std::size_t i = task * kRowsAtOnce; i < end; ++i) {
      const std::size_t begin = rows.begins[i], count = rows.begins[i + 1] - begin;
      probabilities_of(weights, discriminant, std::span(rows.columns).subspan(begin, count),
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

// Rows to learn from and others to answer, ready to be fitted with any cost.
struct Trial {
  SparseRows training, held_out;
  std::vector<std::uint32_t> training_labels, held_out_labels;
};

template <class Examples>
Trial trial_of(const Examples& examples, const ClassIndex& classes, Indices training,
               Indices held_out, base::ThreadPool& pool) {
  const auto features = examples.features(training, classes.names.size(), pool);
  return {examples.rows(features, training, pool), examples.rows(features, held_out, pool),
          labels_at(classes.of, training), labels_at(classes.of, held_out)};
}

template <class Examples>
std::vector<Trial> trials(const Examples& examples, const ClassIndex& classes, std::uint64_t seed,
                          base::ThreadPool& pool) {
  std::vector<Trial> result;
  if (examples.size() > kFullCrossValidation) {
    const std::vector<std::size_t> order = nested_order(classes.of, seed);
    const std::size_t training = std::min(kTrialRows, order.size() * 4 / 5);
    const std::size_t held_out = std::min(kTrialRows, order.size() - training);
    const Indices all(order);
    result.push_back(
        trial_of(examples, classes, all.first(training), all.subspan(training, held_out), pool));
    return result;
  }
  const auto folds = stratified_folds(classes.of, kFolds, seed);
  for (std::uint32_t number = 0; number < kFolds; ++number) {
    const Fold fold = fold_of(folds, number);
    if (!fold.inside.empty() && !fold.outside.empty())
      result.push_back(trial_of(examples, classes, fold.outside, fold.inside, pool));
  }
  return result;
}

// The negative log-likelihood of the held-out rows of all trials at the temperature that suits
// them: logistic models are too flat, and a greater cost must not win by being less so.
struct Loss {
  double value, temperature;
};

// `fit`: the weights by the number of a trial.
template <class Fit>
Loss loss_of(std::span<const Trial> trials, std::size_t classes, bool discriminant, const Fit& fit,
             base::ThreadPool& pool) {
  ProbabilityTable answers{classes, {}};
  std::vector<std::uint32_t> labels;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    const Trial& trial = trials[i];
    const ProbabilityTable table = table_of(fit(i), discriminant, trial.held_out, pool);
    answers.values.insert(answers.values.end(), table.values.begin(), table.values.end());
    labels.insert(labels.end(), trial.held_out_labels.begin(), trial.held_out_labels.end());
  }
  const double temperature = fit_temperature(labels, answers);
  return {measure_calibration(labels, with_temperature(std::move(answers), temperature))
              .negative_log_likelihood,
          temperature};
}

struct Choice {
  LinearPenalty penalty;
  double loss;
};

Choice best_cost(std::span<const Trial> trials, std::size_t classes, const Stop& stop,
                 base::ThreadPool& pool) {
  std::map<double, double> losses;
  const auto loss = [&](double cost) {
    const auto known = losses.find(cost);
    if (known != losses.end()) return known->second;
    const auto fit = [&](std::size_t i) {
      return fit_logistic(trials[i].training, trials[i].training_labels, classes,
                          {.cost = cost, .stop = stop}, pool);
    };
    return losses[cost] = loss_of(trials, classes, false, fit, pool).value;
  };
  // Downhill by large steps, then once by a half of one to the better side.
  double best = kFirstCost;
  const double step = loss(best * kCostStep) < loss(best) ? kCostStep : 1 / kCostStep;
  for (double cost = best * step; cost >= kLeastCost && cost <= kMostCost; cost *= step) {
    if (loss(cost) >= loss(best)) break;
    best = cost;
  }
  const double half = std::sqrt(kCostStep);
  const double side = loss(best * kCostStep) < loss(best / kCostStep) ? half : 1 / half;
  if (loss(best * side) < loss(best)) best *= side;
  return {{.cost = best}, loss(best)};
}

Choice best_shrinkage(std::span<const Trial> trials, std::size_t classes, const Stop& stop,
                      base::ThreadPool& pool) {
  std::vector<DiscriminantAnalysis> analyses;
  for (const Trial& trial : trials) {
    throw_where_stopped(stop);
    analyses.emplace_back(trial.training, trial.training_labels, classes, pool);
  }
  Choice best{{}, std::numeric_limits<double>::infinity()};
  for (const double shrinkage : {0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8}) {
    std::vector<LogisticWeights> fitted;
    double temperature = 16;  // about what it comes to be with 576 columns and 770 rows
    for (const DiscriminantAnalysis& analysis : analyses) {
      throw_where_stopped(stop);
      fitted.push_back(analysis.weights(shrinkage, temperature, pool));
    }
    const auto fit = [&](std::size_t i) -> const LogisticWeights& { return fitted[i]; };
    Loss loss = loss_of(trials, classes, true, fit, pool);
    // Far from its own temperature what is least likely was cut off, and so was the loss.
    for (int round = 0; round < 8 && (loss.temperature > 2 || loss.temperature < 0.5); ++round) {
      for (LogisticWeights& weights : fitted)
        for (float& weight : weights.weights) weight /= static_cast<float>(loss.temperature);
      temperature *= loss.temperature;
      loss = loss_of(trials, classes, true, fit, pool);
    }
    const bool settled =
        loss.temperature <= 2 && loss.temperature >= 0.5;  // not where it says nothing
    if (settled && loss.value < best.loss)
      best = {{.shrinkage = shrinkage, .temperature = temperature * loss.temperature}, loss.value};
  }
  return best;
}

template <class Examples>
LinearPenalty chosen_penalty(const Examples& examples, const ClassIndex& classes,
                             const LinearOptions& options, base::ThreadPool& pool) {
  if (options.shrinkage > 0)
    return {.shrinkage = options.shrinkage, .temperature = options.temperature};
  if (options.cost > 0) return {.cost = options.cost};
  const std::vector<Trial> all = trials(examples, classes, options.seed, pool);
  const Choice cost = best_cost(all, classes.names.size(), options.stop, pool);
  if constexpr (std::is_same_v<Examples, DenseExamples>) {
    if (examples.dense.width <= DiscriminantAnalysis::kMostWidth) {
      const Choice shrinkage = best_shrinkage(all, classes.names.size(), options.stop, pool);
      if (shrinkage.loss < cost.loss) return shrinkage.penalty;
    }
  }
  return cost.penalty;
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
  const LinearPenalty penalty = chosen_penalty(examples, classes, options, pool);
  const auto fold_numbers = stratified_folds(classes.of, folds, options.seed);
  const std::size_t width = classes.names.size();
  ProbabilityTable result{width, std::vector<double>(examples.size() * width)};
  for (std::uint32_t number = 0; number < folds; ++number) {
    const Fold fold = fold_of(fold_numbers, number);
    const auto features = examples.features(fold.outside, width, pool);
    const LogisticWeights weights =
        fitted(examples.rows(features, fold.outside, pool), labels_at(classes.of, fold.outside),
               width, penalty, options.stop, pool);
    const ProbabilityTable table =
        table_of(weights, penalty.discriminant(), examples.rows(features, fold.inside, pool), pool);
    for (std::size_t i = 0; i < table.rows(); ++i)
      std::copy(table.row(i).begin(), table.row(i).end(), result.row(fold.inside[i]).begin());
  }
  return result;
}

}  // namespace

LinearBaseline::LinearBaseline(Features features, LogisticWeights weights,
                               std::vector<std::string> labels, const LinearPenalty& penalty)
    : features_(std::move(features)),
      weights_(std::move(weights)),
      labels_(std::move(labels)),
      penalty_(penalty) {}

template <class Examples>
LinearBaseline LinearBaseline::fit_examples(const Examples& examples,
                                            std::span<const std::string> labels,
                                            const LinearOptions& options, base::ThreadPool& pool) {
  check_labels(examples.size(), labels, options);
  ClassIndex classes = checked_classes(labels);
  const LinearPenalty penalty = chosen_penalty(examples, classes, options, pool);
  const std::vector<std::size_t> all = all_of(examples.size());
  auto features = examples.features(all, classes.names.size(), pool);
  LogisticWeights weights = fitted(examples.rows(features, all, pool), classes.of,
                                   classes.names.size(), penalty, options.stop, pool);
  return {std::move(features), std::move(weights), std::move(classes.names), penalty};
}

LinearBaseline LinearBaseline::fit(std::span<const std::string> texts,
                                   std::span<const std::string> labels,
                                   const LinearOptions& options, base::ThreadPool& pool) {
  check_of_texts(options);
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
  probabilities_of(weights_, penalty_.discriminant(), row.columns, row.values, result);
  return result;
}

ProbabilityTable LinearBaseline::probabilities(std::span<const std::string> texts,
                                               base::ThreadPool& pool) const {
  const auto* const features = std::get_if<TextFeatures>(&features_);
  if (features == nullptr)
    throw Error(Fault::invalid_argument, "a probe of features cannot be asked for texts");
  return table_of(weights_, false, features->rows(texts, pool), pool);
}

ProbabilityTable LinearBaseline::probabilities(const DenseRows& rows,
                                               base::ThreadPool& pool) const {
  const auto* const scaling = std::get_if<ColumnScaling>(&features_);
  if (scaling == nullptr || rows.width != scaling->means.size())
    throw Error(Fault::invalid_argument, "these are not as many features as were learned from");
  check_dense(rows);
  return table_of(weights_, penalty_.discriminant(),
                  DenseExamples{rows}.rows(*scaling, all_of(rows.rows()), pool), pool);
}

ProbabilityTable out_of_fold_probabilities(std::span<const std::string> texts,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool) {
  check_of_texts(options);
  return out_of_fold(TextExamples{texts}, labels, folds, options, pool);
}

ProbabilityTable out_of_fold_probabilities(const DenseRows& rows,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool) {
  check_dense(rows);
  return out_of_fold(DenseExamples{rows}, labels, folds, options, pool);
}

}  // namespace malina::eval
