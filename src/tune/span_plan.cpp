// What marking spans will take to learn.
#include <algorithm>

#include "tune/rate_search.h"
#include "tune/span_judgement.h"
#include "tune/span_tuning_part.h"
#include "tune/step_time.h"

namespace malina::tune {

MemoryParts SpanTuning::working_memory() const {
  const auto cost_of = [&](std::span<const std::string> texts) {
    return eval::LinearTagger::cost_of(texts, report_.types.size(),
                                       device_.context().pool.threads());
  };
  std::vector<std::string> all = training_->data.texts;
  if (report_.validation_from_training)  // it learns from these too, in the end
    all.insert(all.end(), validation_->data.texts.begin(), validation_->data.texts.end());
  const eval::LinearTagger::Cost linear = cost_of(all);
  // Beside the whole one, the learning curve fits another to half of the texts.
  eval::LinearTagger::Cost half;
  if (const auto sizes = curve_texts(); !sizes.empty()) {
    const auto order = curve_order(training_->data.size(), request_.recipe.seed);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < sizes[sizes.size() - 2]; ++i)
      texts.push_back(training_->data.texts[order[i]]);
    half = cost_of(texts);
  }
  const MemoryParts fitting{
      {"linear tagger", linear.model_bytes},
      {"its fitting", std::max(linear.working_bytes, half.model_bytes + half.working_bytes)}};
  if (request_.method == SpanMethod::linear) return fitting;
  MemoryParts training{{"linear tagger", linear.model_bytes}};
  const double filled =
      filled_share(training_->encoded.examples, validation_->encoded.examples, request_.recipe);
  for (auto& part : adapter_training_memory(model_, request_.recipe,
                                            eval::tag_count(report_.types.size()), filled))
    training.push_back(std::move(part));
  if (request_.curve && !curve_texts().empty()) add_trial(training);
  return bytes_of(training) > bytes_of(fitting) ? training : fitting;
}

std::uint64_t SpanTuning::settle_memory(std::uint64_t most) const {
  const MemoryParts parts = working_memory();
  check_memory(parts, most);
  return bytes_of(parts);
}

TuningPlan SpanTuning::plan(const SpanEvents& events) {
  TuningPlan plan = plan_of(working_memory(), resident_bytes());
  if (!plan.fits()) return plan;
  plan_linear(plan, events);
  if (request_.method != SpanMethod::linear) plan_adapter(plan, events);
  for (const TuningPlan::Stage& stage : plan.stages) plan.seconds += stage.seconds;
  return plan;
}

void SpanTuning::plan_linear(TuningPlan& plan, const SpanEvents& events) const {
  if (events.stage) events.stage("trying the linear tagger", 0, 1);
  const auto tags = tags_of(training_->data, training_->data.size());
  const FitTime time(training_->data.size(), [&](std::size_t count) {
    eval::LinearTagger::fit(std::span(training_->data.texts).first(count),
                            std::span(tags).first(count), report_.types.size(),
                            device_.context().pool);
  });
  const std::size_t rows = training_->data.size();
  // Once more with those held back, where the adapter is not what was asked for.
  const bool refits = report_.validation_from_training && request_.method != SpanMethod::lora;
  const double again = refits ? time.one(rows + validation_->data.size()) : 0;
  plan.stages.push_back({"linear tagger", time.one(rows) + again});
  double curve = 0;
  for (const std::size_t size : curve_texts())
    if (size < training_->data.size()) curve += time.one(size);
  if (curve > 0) plan.stages.push_back({"learning curve", curve});
}

void SpanTuning::plan_adapter(TuningPlan& plan, const SpanEvents& events) {
  if (events.stage) events.stage("trying a few steps", 0, 1);
  const Recipe& recipe = request_.recipe;
  Trainer trainer(model_, device_, recipe, eval::tag_count(report_.types.size()),
                  training_->encoded.examples);
  const StepTime time = measure_steps(trainer, validation_->encoded.examples);
  plan_steps(plan, trainer, time, tokens_of(training_->encoded.examples));
  const double scored =
      time.per_scored * static_cast<double>(tokens_of(validation_->encoded.examples));
  const double epoch = time.per_position * static_cast<double>(plan.positions) + scored;
  if (const auto epochs = search_epochs(request_.search.size(), recipe.epochs); epochs > 0)
    plan.stages.push_back({"search for the learning rate", static_cast<double>(epochs) * epoch});
  plan.stages.push_back(
      {"training of the adapter", epoch * static_cast<double>(recipe.epochs) + scored});
  if (request_.curve) {
    double curve = 0;
    for (const std::size_t size : curve_texts()) {
      if (size == training_->data.size()) continue;
      const std::size_t epochs =
          automatic_epochs_ ? automatic_schedule(size).epochs : recipe.epochs;
      const double share = static_cast<double>(size) / static_cast<double>(training_->data.size());
      curve += static_cast<double>(epochs) *
                   (time.per_position * share * static_cast<double>(plan.positions) + scored) +
               scored;
    }
    if (curve > 0) plan.stages.push_back({"learning curve of the adapter", curve});
  }
  if (retrains()) {
    const double rows = static_cast<double>(report_.training_rows + report_.validation_rows) /
                        static_cast<double>(report_.training_rows);
    plan.stages.push_back({"where the adapter is chosen: training on all texts",
                           time.per_position * static_cast<double>(plan.positions) * rows *
                               static_cast<double>(recipe.epochs)});
  }
  if (test_ != nullptr)
    plan.stages.push_back(
        {"test rows", time.per_scored * static_cast<double>(tokens_of(test_->encoded.examples))});
}

}  // namespace malina::tune
