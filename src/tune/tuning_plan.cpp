// Time is measured on a few steps and texts, and multiplied. Memory: tuning_plan_memory.cpp.
#include "tune/tuning_plan.h"

#include <algorithm>
#include <utility>

#include "base/machine.h"
#include "eval/learning_curve.h"
#include "eval/stratified.h"
#include "tune/frozen_features.h"
#include "tune/label_answers.h"
#include "tune/rate_search.h"
#include "tune/step_time.h"
#include "tune/training_memory.h"
#include "tune/tuning_curve.h"
#include "tune/tuning_planner.h"

namespace malina::tune {

TuningPlan Tuning::Planner::make() {
  const std::uint64_t resident = resident_bytes();
  const MemoryParts parts = working_memory(base::read_machine().usable_bytes());
  plan_ = plan_of(parts, resident);
  plan_.labels_left_out = labels_left_out_;
  if (may_climb_)
    plan_.labels = TuningPlan::Labels{.seconds = 0, .peak_bytes = resident + label_bytes_};
  if (!plan_.fits()) return plan_;  // then no step is tried either
  linear();
  if (tuning_.wants(Method::probe)) probe();
  if (tuning_.wants(Method::lora)) adapter();
  if (request_.method == Method::labels) labels();
  if (may_climb_) last_rung();
  for (const TuningPlan::Stage& stage : plan_.stages) plan_.seconds += stage.seconds;
  return plan_;
}

void Tuning::Planner::linear() {
  stage("the linear baseline");
  const auto order = eval::nested_order(tuning_.training_->classes, request_.recipe.seed);
  const FitTime time(rows(), [&](std::size_t count) {
    const auto part =
        tuning_.training_->data.subset(std::span(order).first(std::max<std::size_t>(count, 2)));
    if (eval::index_classes(part.labels).names.size() < 2) return;
    eval::LinearBaseline::fit(part.texts, part.labels, {.cost = kCost}, pool());
  });
  add("linear baseline", time.searched(rows()));
  double curve = 0;
  for (const std::size_t size : curve_sizes(rows(), classes()))
    if (size < rows()) curve += time.one(size);
  const std::size_t all = rows() + tuning_.validation_->data.size();
  add("learning curve and suspected labels", curve + 5 * time.one(all * 4 / 5));
}

void Tuning::Planner::probe() {
  stage("the probe");
  const auto order = eval::nested_order(tuning_.training_->classes, request_.recipe.seed);
  const std::size_t count = std::min<std::size_t>(rows(), kFeatureTexts);
  std::vector<TrainingExample> sample;
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < count; ++i) {
    sample.push_back(tuning_.training_->examples[order[i]]);
    labels.push_back(tuning_.training_->data.labels[order[i]]);
  }
  std::vector<float> features;
  const double seconds = seconds_of([&] {
    features = frozen_features(tuning_.model_, tuning_.device_, sample, request_.recipe.rows);
  });
  per_token_ = seconds / static_cast<double>(tokens_of(sample));
  add("features of the probe",
      per_token_ * static_cast<double>(tokens_of(tuning_.training_->examples) +
                                       tokens_of(tuning_.validation_->examples)));
  const std::size_t width = tuning_.model_->sizes().width;
  const FitTime time(4 * count, [&](std::size_t rows) {
    rows = std::clamp<std::size_t>(rows, 2, count);
    if (eval::index_classes(std::span(labels).first(rows)).names.size() < 2) return;
    eval::LinearBaseline::fit_dense(eval::DenseRows{std::span(features).first(rows * width), width},
                                    std::span(labels).first(rows), {.cost = kCost}, pool());
  });
  add("probe", time.searched(rows()));
  if (tuning_.test_ && !tuning_.wants(Method::lora))
    add(kTestRows, per_token_ * static_cast<double>(tokens_of(tuning_.test_->examples)));
}

void Tuning::Planner::adapter() {
  stage("a few steps");
  Trainer trainer(tuning_.model_, tuning_.device_, request_.recipe, classes(),
                  tuning_.training_->examples);
  const StepTime time = measure_steps(trainer, tuning_.validation_->examples);
  plan_steps(plan_, trainer, time, tokens_of(tuning_.training_->examples));
  const double scored =
      time.per_scored * static_cast<double>(tokens_of(tuning_.validation_->examples));
  const double epoch = time.per_position * static_cast<double>(plan_.positions) + scored;
  if (const auto epochs = search_epochs(request_.search.size(), request_.recipe.epochs); epochs > 0)
    add("search for the learning rate", static_cast<double>(epochs) * epoch);
  add("training of the adapter", epoch * static_cast<double>(request_.recipe.epochs) + scored);
  if (request_.curve) add("learning curve of the adapter", curve_seconds(time, scored));
  if (tuning_.retrains()) {
    const double all =
        static_cast<double>(tuning_.everything_.size()) / static_cast<double>(rows());
    const double again = (epoch - scored) * all * static_cast<double>(request_.recipe.epochs);
    add(request_.method == Method::automatic ? "where an adapter is chosen: training on all rows"
                                             : "training on all rows",
        again);
  }
  if (tuning_.test_)
    add(kTestRows, time.per_scored * static_cast<double>(tokens_of(tuning_.test_->examples)));
}

void Tuning::Planner::last_rung() {
  const auto tests = [](const TuningPlan::Stage& stage) { return stage.name == kTestRows; };
  TuningPlan all = std::exchange(plan_, {});
  labels();
  for (const TuningPlan::Stage& stage : plan_.stages) all.labels->seconds += stage.seconds;
  plan_ = std::move(all);
  // One of both scores the test rows: whichever takes longer is counted.
  const auto by_head = std::find_if(plan_.stages.begin(), plan_.stages.end(), tests);
  if (by_head != plan_.stages.end())
    plan_.labels->seconds -= std::min(plan_.labels->seconds, by_head->seconds);
  add("where the adapter beats what is cheaper: labels", plan_.labels->seconds);
}

void Tuning::Planner::labels() {
  stage("a few steps");
  const auto& validation = tuning_.validation_->label_examples;
  const Recipe recipe = tuning_.label_recipe();
  std::optional<model::AdapterTensors> tensors;
  {
    Trainer trainer(tuning_.model_, tuning_.device_, recipe, 0, tuning_.training_->label_examples);
    const StepTime time = measure_steps(trainer, validation);
    plan_steps(plan_, trainer, time,
               static_cast<std::uint64_t>(time.positions *
                                          static_cast<double>(trainer.steps_per_epoch())));
    const double epoch = time.per_position * static_cast<double>(plan_.positions) +
                         time.per_scored * static_cast<double>(tokens_of(validation));
    add("training of the adapter", epoch * static_cast<double>(recipe.epochs));
    tensors = model::tensors_of(trainer.adapter());
  }
  stage("scores of labels");
  constexpr std::size_t kScored = 16;
  LabelAnswers answers(tuning_.model_, tuning_.label_task_, *tensors, tuning_.device_);
  std::vector<std::string> texts = tuning_.validation_->asked;
  const std::size_t rows = texts.size();
  texts.resize(std::min(rows, kScored));
  const double seconds = seconds_of([&] { answers.scores(texts); });
  const double row = seconds / static_cast<double>(texts.size());
  add("scores of labels", row * static_cast<double>(rows));
  if (tuning_.test_) add(kTestRows, row * static_cast<double>(tuning_.test_->data.size()));
}

double Tuning::Planner::curve_seconds(const StepTime& time, double scored) const {
  double seconds = 0;
  for (const std::size_t size : curve_sizes(rows(), classes())) {
    if (size == rows()) continue;
    const auto epochs = static_cast<double>(
        tuning_.automatic_epochs_ ? automatic_schedule(size).epochs : request_.recipe.epochs);
    const double share = static_cast<double>(size) / static_cast<double>(rows());
    seconds += epochs * (time.per_position * share * static_cast<double>(plan_.positions) + scored);
  }
  return seconds;
}

TuningPlan Tuning::plan(const TuningEvents& events) { return Planner(*this, events).make(); }

nlohmann::ordered_json plan_json(const TuningPlan& plan) {
  using Json = nlohmann::ordered_json;
  Json stages = Json::array(), memory = Json::array();
  for (const TuningPlan::Stage& stage : plan.stages)
    stages.push_back({{"name", stage.name}, {"seconds", stage.seconds}});
  for (const TuningPlan::Memory& part : plan.memory)
    memory.push_back({{"name", part.name}, {"bytes", part.bytes}});
  Json labels;
  if (plan.labels)
    labels = {{"seconds", plan.fits() ? Json(plan.labels->seconds) : Json()},
              {"peak_bytes", plan.labels->peak_bytes}};
  return {{"epochs", plan.epochs},
          {"batch", plan.batch},
          {"steps", plan.steps},
          {"positions", plan.positions},
          {"positions_per_second", plan.positions_per_second},
          {"stages", stages},
          {"seconds", plan.fits() ? Json(plan.seconds) : Json()},
          {"labels", labels},
          {"labels_left_out", plan.labels_left_out.empty() ? Json() : Json(plan.labels_left_out)},
          {"memory", memory},
          {"peak_bytes", plan.peak_bytes},
          {"usable_bytes", plan.usable_bytes},
          {"fits", plan.fits()}};
}

}  // namespace malina::tune
