// What a job that teaches a model to write finds out beside its adapter: a learning rate, and what
// more rows would bring (the share of the validation rows' tokens that is not predicted, of nested
// parts of the training rows).
#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"
#include "base/shuffle.h"
#include "tune/generation_tuning.h"
#include "tune/rate_search.h"
#include "tune/tuning_curve.h"

namespace malina::tune {

namespace {

constexpr std::size_t kFewestOfPart = 10;  // rows; of fewer an adapter learns nothing to speak of

// Rows that have examples, in their order.
std::vector<std::size_t> rows_of(const GenerationData& data) {
  std::vector<std::size_t> rows = data.rows_of;
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

}  // namespace

std::vector<std::size_t> GenerationTuning::curve_rows() const {
  return curve_sizes(rows_of(training_).size(), kFewestOfPart / 2);
}

std::size_t GenerationTuning::curve_epochs(std::size_t examples) const {
  return automatic_epochs_ ? generation_epochs(examples, request_.recipe.batch)
                           : request_.recipe.epochs;
}

// Of each validation row: the weight of its tokens that are not predicted.
std::vector<float> GenerationTuning::wrong_of(const std::vector<Trainer::Evaluation>& each) const {
  std::vector<double> wrong;
  for (std::size_t i = 0; i < each.size(); ++i) {
    if (i == 0 || validation_.rows_of[i] != validation_.rows_of[i - 1]) wrong.push_back(0);
    wrong.back() += (1 - each[i].accuracy) * each[i].weight;
  }
  return {wrong.begin(), wrong.end()};
}

eval::LearningPoint GenerationTuning::learning_point(std::size_t rows,
                                                     std::vector<float> wrong) const {
  std::vector<double> all;
  for (std::size_t i = 0; i < validation_.examples.size(); ++i) {
    if (i == 0 || validation_.rows_of[i] != validation_.rows_of[i - 1]) all.push_back(0);
    const TrainingExample& example = validation_.examples[i];
    for (std::size_t k = 0; k < example.targets.size(); ++k)
      if (example.targets[k] >= 0)
        all.back() += example.weights.empty() ? 1.0 : double{example.weights[k]};
  }
  return {rows, std::move(wrong), {all.begin(), all.end()}};
}

// Of the first so many rows in an order that all parts share.
std::vector<TrainingExample> GenerationTuning::examples_of(std::size_t rows) const {
  std::vector<std::size_t> order = rows_of(training_);
  base::Random random(request_.recipe.seed + 4);
  base::shuffle(order, random);
  order.resize(rows);
  std::sort(order.begin(), order.end());
  std::vector<TrainingExample> examples;
  for (std::size_t i = 0; i < training_.examples.size(); ++i)
    if (std::binary_search(order.begin(), order.end(), training_.rows_of[i]))
      examples.push_back(training_.examples[i]);
  return examples;
}

std::optional<TrialResult> GenerationTuning::trial(const std::string& name, const Recipe& recipe,
                                                   std::span<const TrainingExample> examples,
                                                   const GenerationEvents& events) {
  const TrialWork work{
      .begin =
          [&](const AdapterTrainingOptions& options) {
            return std::make_unique<GenerationTraining>(model_, device_, examples,
                                                        validation_.examples, options);
          },
      .answers = [&](AdapterTraining& training,
                     const ScoreProgress& progress) -> std::optional<std::vector<float>> {
        const auto each = static_cast<GenerationTraining&>(training).evaluate_validation(progress);
        return each ? std::optional(wrong_of(*each)) : std::nullopt;
      },
      .values = rows_of(validation_).size()};
  AdapterTrainingOptions options = training_options();
  options.recipe = recipe;
  if (events.stage) events.stage(name, 0, 1);
  return run_trial(name, work, std::move(options), events.training, leftovers_);
}

bool GenerationTuning::search(const GenerationEvents& events) {
  if (request_.recipe.full) return true;
  return search_learning_rate(request_.search, request_.recipe, report_.search,
                              [&](const std::string& name, const Recipe& recipe) {
                                return trial(name, recipe, training_.examples, events);
                              });
}

bool GenerationTuning::measure_curve(const GenerationEvents& events) {
  const auto sizes = curve_rows();
  if (!request_.curve || request_.recipe.full || sizes.empty() || report_.curve) return true;
  std::vector<eval::LearningPoint> points;
  for (const std::size_t size : sizes) {
    if (size == sizes.back()) {  // was trained
      const auto each = run_->evaluate_validation(
          [&](std::size_t) { return !(events.training.pause && events.training.pause()); });
      if (!each) return false;
      points.push_back(learning_point(size, wrong_of(*each)));
      continue;
    }
    run_->rest();  // its memory is the trials'
    const std::vector<TrainingExample> examples = examples_of(size);
    Recipe recipe = request_.recipe;
    recipe.epochs = curve_epochs(examples.size());
    try {
      auto result = trial(fmt::format("curve-{}", size), recipe, examples, events);
      if (!result) return false;
      points.push_back(learning_point(size, std::move(result->answers)));
    } catch (const DivergedError&) {
      return true;  // then there is no curve
    }
  }
  report_.curve =
      curve_report({Method::lora}, points, request_.recipe.seed, device_.context().pool, "rows");
  return true;
}

}  // namespace malina::tune
