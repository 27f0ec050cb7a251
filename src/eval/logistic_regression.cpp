#include "eval/logistic_regression.h"

#include <linear.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "base/error.h"
#include "eval/example_check.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

// liblinear has one print function for the process.
void silence_liblinear() {
  static const bool once = [] {
    set_print_string_function([](const char*) {});
    return true;
  }();
  static_cast<void>(once);
}

// The rows as liblinear reads them: pairs of (column from 1, value), a last one for the bias, an
// end mark.
struct Nodes {
  std::vector<feature_node> nodes;
  std::vector<feature_node*> rows;
};

Nodes nodes_of(const SparseRows& rows) {
  Nodes result;
  result.nodes.reserve(rows.columns.size() + 2 * rows.rows());
  result.rows.reserve(rows.rows());
  const int bias = static_cast<int>(rows.width) + 1;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    result.rows.push_back(result.nodes.data() + result.nodes.size());
    for (std::size_t at = rows.begins[i]; at < rows.begins[i + 1]; ++at)
      result.nodes.push_back({static_cast<int>(rows.columns[at]) + 1, rows.values[at]});
    result.nodes.push_back({bias, 1});
    result.nodes.push_back({-1, 0});
  }
  return result;
}

void check(const SparseRows& rows, std::span<const std::uint32_t> labels, std::size_t classes,
           const LogisticOptions& options) {
  constexpr std::size_t kMost = std::numeric_limits<int>::max() - 2;  // liblinear counts by int
  check_examples(rows, labels, classes);
  if (labels.size() > kMost || rows.width > kMost)
    throw Error(Fault::invalid_argument, "there are too many rows or columns for liblinear");
  if (!(options.cost > 0) || !std::isfinite(options.cost) || !(options.tolerance > 0))
    throw Error(Fault::invalid_argument, "the cost of an error is not a positive number");
}

class Trainer {
 public:
  Trainer(const SparseRows& rows, std::span<const std::uint32_t> labels,
          const LogisticOptions& options)
      : rows_(rows), labels_(labels), options_(options), nodes_(nodes_of(rows)) {}

  // Adds the class's weights, or with sign -1 their opposites, to `target` as the column `place`.
  void train(std::uint32_t positive, LogisticWeights& target) {
    std::vector<double> sides(labels_.size());
    std::size_t members = 0;
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      sides[i] = labels_[i] == positive ? 1 : -1;
      members += labels_[i] == positive;
    }
    float* const bias = target.weights.data() + target.width * target.classes + positive;
    if (members == 0 || members == labels_.size()) {  // nothing to tell apart: Laplace's estimate
      const double odds = (static_cast<double>(members) + 0.5) /
                          (static_cast<double>(labels_.size() - members) + 0.5);
      *bias = static_cast<float>(std::log(odds));
      return;
    }
    problem task{};
    task.l = static_cast<int>(labels_.size());
    task.n = static_cast<int>(rows_.width) + 1;
    task.y = sides.data();
    task.x = nodes_.rows.data();
    task.bias = 1;
    parameter settings{};
    settings.solver_type = L2R_LR;  // the primal one: the dual one draws from the C library's rand
    settings.C = options_.cost;
    settings.eps = options_.tolerance;
    model* trained = ::train(&task, &settings);
    for (std::size_t column = 0; column <= rows_.width; ++column)
      target.weights[column * target.classes + positive] =
          static_cast<float>(trained->label[0] == 1 ? trained->w[column] : -trained->w[column]);
    free_and_destroy_model(&trained);
  }

 private:
  const SparseRows& rows_;
  std::span<const std::uint32_t> labels_;
  LogisticOptions options_;
  Nodes nodes_;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void throw_where_stopped(const Stop& stop) {
  if (stop && stop()) throw Error(Fault::cancelled, "the fit was stopped");
}

void LogisticWeights::scores(std::span<const std::uint32_t> columns, std::span<const float> values,
                             std::span<double> scores) const {
  const float* const bias = weights.data() + width * classes;
  std::copy(bias, bias + classes, scores.begin());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const float* const column = weights.data() + columns[i] * classes;
    const double value = values[i];
    for (std::size_t k = 0; k < classes; ++k) scores[k] += value * column[k];
  }
}

void LogisticWeights::probabilities(std::span<const std::uint32_t> columns,
                                    std::span<const float> values,
                                    std::span<double> probabilities) const {
  scores(columns, values, probabilities);
  double sum = 0;
  for (double& score : probabilities) {
    // Where all sigmoids are next to nothing their ratios still are what the scores say.
    score = std::max(sigmoid(score), 1e-300);
    sum += score;
  }
  for (double& probability : probabilities) probability /= sum;
}

void LogisticWeights::softmax(std::span<const std::uint32_t> columns, std::span<const float> values,
                              std::span<double> probabilities) const {
  constexpr double kLeast = -60;
  scores(columns, values, probabilities);
  const double most = *std::max_element(probabilities.begin(), probabilities.end());
  double sum = 0;
  for (double& score : probabilities) {
    score = std::exp(std::max(score - most, kLeast));
    sum += score;
  }
  for (double& probability : probabilities) probability /= sum;
}

LogisticWeights fit_logistic(const SparseRows& rows, std::span<const std::uint32_t> labels,
                             std::size_t classes, const LogisticOptions& options,
                             base::ThreadPool& pool) {
  check(rows, labels, classes, options);
  silence_liblinear();
  LogisticWeights result{rows.width, classes, std::vector<float>((rows.width + 1) * classes)};
  Trainer trainer(rows, labels, options);
  throw_where_stopped(options.stop);
  if (classes == 2) {
    trainer.train(1, result);
    for (std::size_t column = 0; column <= rows.width; ++column)
      result.weights[2 * column] = -result.weights[2 * column + 1];
  } else {
    const auto caller = std::this_thread::get_id();
    std::atomic<bool> stopped{false};
    pool.run(classes, [&](std::size_t k) {
      if (!stopped && options.stop && std::this_thread::get_id() == caller)
        stopped = options.stop();
      if (!stopped) trainer.train(static_cast<std::uint32_t>(k), result);
    });
    if (stopped) throw_where_stopped([] { return true; });
  }
  return result;
}

}  // namespace malina::eval
