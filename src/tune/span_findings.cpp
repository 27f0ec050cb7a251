// What a tuning job for spans finds out beside the tagger: a learning rate, and what more texts
// would bring.
#include <fmt/format.h>

#include <unordered_map>

#include "base/random.h"
#include "base/shuffle.h"
#include "tune/rate_search.h"
#include "tune/span_judgement.h"
#include "tune/span_tuning_part.h"
#include "tune/tuning_curve.h"

namespace malina::tune {

std::vector<std::size_t> curve_order(std::size_t texts, std::uint64_t seed) {
  base::Random random(seed + 4);
  return base::shuffled_order(texts, random);
}

std::vector<std::size_t> SpanTuning::curve_texts() const {
  return curve_sizes(training_->data.size(), report_.types.size());
}

// Of validation texts.
eval::LearningPoint SpanTuning::learning_point(std::size_t texts,
                                               std::span<const ScoredText> scores) const {
  eval::LearningPoint point{texts, {}};
  for (const bool right : judge(validation_->data, scores, report_.types).right)
    point.wrong.push_back(right ? 0.0F : 1.0F);
  return point;
}

void SpanTuning::measure_curve(const SpanEvents& events) {
  const SpanTexts& data = training_->data;
  const auto sizes = curve_texts();
  if (sizes.empty()) return;
  const std::vector<std::size_t> order = curve_order(data.size(), request_.recipe.seed);
  const auto tags = tags_of(data, data.size());
  std::vector<eval::LearningPoint> points;
  for (const std::size_t size : sizes) {
    if (events.stage) events.stage("learning curve", points.size(), sizes.size());
    if (size == data.size()) {
      points.push_back(learning_point(size, validation_scores_.front()));
      continue;
    }
    std::vector<std::string> texts;
    std::vector<std::vector<std::uint32_t>> texts_tags;
    for (std::size_t i = 0; i < size; ++i) {
      texts.push_back(data.texts[order[i]]);
      texts_tags.push_back(tags[order[i]]);
    }
    const auto tagger = eval::LinearTagger::fit(texts, texts_tags, report_.types.size(),
                                                device_.context().pool, pause_.stop());
    points.push_back(learning_point(size, scored_by(tagger, validation_->data.texts)));
  }
  report_.curves.push_back(
      curve_report({Method::linear}, points, request_.recipe.seed, device_.context().pool));
}

std::optional<TrialResult> SpanTuning::trial(const std::string& name, const Recipe& recipe,
                                             std::span<const TrainingExample> examples,
                                             const SpanEvents& events) {
  const auto& validation = validation_->encoded.examples;
  const TrialWork work{
      .begin =
          [&](const AdapterTrainingOptions& options) {
            return std::make_unique<SpanTraining>(model_, device_, report_.types.size(), examples,
                                                  validation, options);
          },
      .answers = [&](AdapterTraining& training,
                     const ScoreProgress& progress) -> std::optional<std::vector<float>> {
        auto tables = static_cast<SpanTraining&>(training).scores(validation, progress);
        if (!tables) return std::nullopt;
        return learning_point(0, placed(*std::move(tables), *validation_)).wrong;
      },
      .values = validation_->data.size()};
  AdapterTrainingOptions options = training_options();
  options.recipe = recipe;
  if (events.stage) events.stage(name, 0, 1);
  return run_trial(name, work, std::move(options), events.training, leftovers_);
}

bool SpanTuning::search(const SpanEvents& events) {
  return search_learning_rate(request_.search, request_.recipe, report_.search,
                              [&](const std::string& name, const Recipe& recipe) {
                                return trial(name, recipe, training_->encoded.examples, events);
                              });
}

bool SpanTuning::measure_adapter_curve(const SpanEvents& events) {
  const auto sizes = curve_texts();
  const std::vector<Method> members{Method::lora};
  const bool measured = !report_.curves.empty() && report_.curves.back().members == members;
  if (!request_.curve || !adapter_ || sizes.empty() || measured) return true;
  std::unordered_map<std::size_t, std::size_t> example_of;  // of a text
  for (std::size_t i = 0; i < training_->encoded.rows.size(); ++i)
    example_of.emplace(training_->encoded.rows[i], i);
  const std::vector<std::size_t> order = curve_order(training_->data.size(), request_.recipe.seed);
  if (run_ != nullptr) run_->rest();  // its memory is the trials'
  std::vector<eval::LearningPoint> points;
  for (const std::size_t size : sizes) {
    if (size == training_->data.size()) {
      points.push_back(learning_point(size, validation_scores_.back()));
      continue;
    }
    std::vector<TrainingExample> examples;
    for (std::size_t i = 0; i < size; ++i)
      if (const auto found = example_of.find(order[i]); found != example_of.end())
        examples.push_back(training_->encoded.examples[found->second]);
    Recipe recipe = request_.recipe;
    if (automatic_epochs_) recipe.epochs = automatic_schedule(size).epochs;
    try {
      auto result = trial(fmt::format("curve-{}", size), recipe, examples, events);
      if (!result) return false;
      points.push_back({size, std::move(result->answers)});
    } catch (const DivergedError&) {
      return true;  // then there is no curve
    }
  }
  report_.curves.push_back(
      curve_report(members, points, request_.recipe.seed, device_.context().pool));
  return true;
}

}  // namespace malina::tune
