// Memory is counted: what is resident after reading model and data, and what the same code would
// allocate, on a planning device. Time is measured on a few steps and texts, and multiplied.
#include "tune/tuning_plan.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "base/machine.h"
#include "eval/learning_curve.h"
#include "eval/stratified.h"
#include "model/transposed_weights.h"
#include "tune/frozen_features.h"
#include "tune/label_answers.h"
#include "tune/tuning_curve.h"
#include "tune/tuning_part.h"

namespace malina::tune {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t tokens_of(std::span<const TrainingExample> examples) {
  std::uint64_t tokens = 0;
  for (const TrainingExample& example : examples) tokens += example.tokens.size();
  return tokens;
}

// How long one fit of a logistic regression of so many rows takes, from two that were measured.
class FitTime {
 public:
  FitTime(std::size_t rows, const std::function<void(std::size_t rows)>& fit)
      : sample_(std::clamp<std::size_t>(rows / 4, std::min<std::size_t>(rows, 64), 3000)) {
    const double half = seconds_of([&] { fit(std::max<std::size_t>(sample_ / 2, 1)); });
    seconds_ = seconds_of([&] { fit(sample_); });
    power_ = half > 0 && seconds_ > 0 ? std::clamp(std::log2(seconds_ / half), 0.7, 1.3) : 1;
  }
  double one(std::size_t rows) const {
    return seconds_ * std::pow(static_cast<double>(rows) / static_cast<double>(sample_), power_);
  }
  // With the search for the cost (eval/linear_baseline.cpp): usually five are tried, of five folds
  // or, of many rows, of one part.
  double searched(std::size_t rows) const {
    constexpr double kTried = 5;
    const std::size_t inside = rows * 4 / 5;
    const double trial = rows <= 2000 ? 5 * one(inside) : one(std::min<std::size_t>(4000, inside));
    return one(rows) + kTried * trial;
  }

 private:
  std::size_t sample_;
  double seconds_ = 0, power_ = 1;
};

// What one step of training and one token of scoring take.
struct StepTime {
  double per_position = 0, per_scored = 0;
  double positions = 0;  // of a step
};

StepTime measure_steps(Trainer& trainer, std::span<const TrainingExample> validation) {
  constexpr std::size_t kMost = 12, kFewest = 4, kScored = 96;
  constexpr double kEnough = 6;  // seconds
  trainer.run_step();            // the first one touches memory that nobody has used yet
  StepTime time;
  double seconds = 0;
  std::size_t positions = 0, steps = 0;
  for (; steps < kMost && (steps < kFewest || seconds < kEnough); ++steps) {
    if (trainer.step() == trainer.steps()) trainer.set_step(0);
    seconds += seconds_of([&] { positions += trainer.run_step().positions; });
  }
  time.positions = static_cast<double>(positions) / static_cast<double>(steps);
  time.per_position = seconds / static_cast<double>(positions);
  const auto sample = validation.first(std::min(validation.size(), kScored));
  time.per_scored = seconds_of([&] { trainer.score(sample, [](std::size_t, const auto&) {}); }) /
                    static_cast<double>(tokens_of(sample));
  return time;
}

}  // namespace

// Bytes of everything that stands beside what is resident already, each from its own sizes.
class Tuning::Planner {
 public:
  Planner(Tuning& tuning, const TuningEvents& events)
      : tuning_(tuning), events_(events), request_(tuning.request_) {}

  TuningPlan make() {
    resident_ = resident_bytes();
    plan_.usable_bytes = resident_ + base::read_machine().usable_bytes();
    count_memory();
    if (!plan_.fits()) return plan_;  // then no step is tried either
    linear();
    if (tuning_.wants(Method::probe)) probe();
    if (tuning_.wants(Method::lora)) adapter();
    if (request_.method == Method::labels) labels();
    for (const TuningPlan::Stage& stage : plan_.stages) plan_.seconds += stage.seconds;
    return plan_;
  }

 private:
  using Sizes = std::vector<std::pair<std::string, std::uint64_t>>;

  std::size_t rows() const { return tuning_.training_->data.size(); }
  std::size_t classes() const { return tuning_.report_.labels.size(); }
  void stage(const std::string& name) const {
    if (events_.stage) events_.stage("trying " + name, 0, 1);
  }

  // --- memory ---

  void count_memory() {
    features_ = eval::TextFeatures::fit(tuning_.training_->data.texts, pool());
    for (const std::string& text : tuning_.training_->data.texts)
      values_ += features_.row(text).columns.size();
    const std::uint64_t weights = (features_.width() + 1) * classes() * sizeof(float);
    const std::uint64_t terms = features_.width() * 48;  // the table and its slots
    std::vector<Sizes> stages{
        {{"linear baseline", weights + terms}, {"its fitting", linear_work(weights + terms)}}};
    const Sizes kept{{"linear baseline", weights + terms}};
    if (tuning_.wants(Method::probe)) {
      Sizes stage = kept;
      stage.emplace_back("probe", probe_bytes());
      stages.push_back(stage);
    }
    if (tuning_.wants(Method::lora)) {
      Sizes stage = kept;
      for (const auto& part : adapter_bytes()) stage.push_back(part);
      if (tuning_.wants(Method::probe))
        stage.emplace_back("features of the probe", feature_bytes());
      stages.push_back(stage);
    }
    if (request_.method == Method::labels) {
      Sizes stage = kept;
      for (const auto& part : label_bytes()) stage.push_back(part);
      stages.push_back(stage);
    }
    const auto sum = [](const Sizes& sizes) {
      std::uint64_t bytes = 0;
      for (const auto& size : sizes) bytes += size.second;
      return bytes;
    };
    const auto& most =
        *std::max_element(stages.begin(), stages.end(),
                          [&](const Sizes& a, const Sizes& b) { return sum(a) < sum(b); });
    plan_.memory.push_back({"program, model and data", resident_});
    for (const auto& [name, bytes] : most) plan_.memory.push_back({name, bytes});
    plan_.peak_bytes = resident_ + sum(most);
  }

  // Of liblinear: its nodes, rows of the trials, and doubles of the columns for each thread; the
  // tables of a trial's weights come and go.
  std::uint64_t linear_work(std::uint64_t model) const {
    const bool folds = rows() <= 2000;
    const std::uint64_t kept_rows = folds ? 5 * values_ * 8 : values_ * 8;
    return values_ * 16 + kept_rows + pool().threads() * features_.width() * 8 * 8 +
           (folds ? model : 0);
  }

  std::uint64_t feature_bytes() const {
    return (rows() + tuning_.validation_->data.size()) * tuning_.model_->sizes().width *
           sizeof(float);
  }

  std::uint64_t probe_bytes() const {
    math::PlanningDevice device;
    const model::TrainingPass pass(tuning_.model_, device,
                                   {.max_rows = request_.recipe.rows, .recompute = true});
    const std::uint64_t values = rows() * tuning_.model_->sizes().width;
    // Fitting comes after the pass has gone: nodes, and rows of all trials.
    const std::uint64_t fitting = values * 16 + (rows() <= 2000 ? 5 : 1) * values * 8;
    return feature_bytes() + std::max<std::uint64_t>(device.allocated_bytes(), fitting);
  }

  // A pass has room for recipe.rows tokens, of which a micro-batch uses the first: what none
  // reaches never becomes resident.
  double filled() const {
    const auto& examples = tuning_.training_->examples;
    const std::size_t batch = request_.recipe.batch, room = request_.recipe.rows;
    std::size_t most = 1;
    for (std::size_t first = 0; first < examples.size(); first += batch) {
      std::size_t used = 0;
      for (std::size_t i = first; i < std::min(examples.size(), first + batch); ++i) {
        if (used + examples[i].tokens.size() > room) used = 0;
        used += examples[i].tokens.size();
        most = std::max(most, used);
      }
    }
    return static_cast<double>(most) / static_cast<double>(room);
  }

  Sizes adapter_bytes() const {
    const std::size_t head = classes() * tuning_.model_->sizes().width;
    return training_bytes(request_.recipe, filled(), head);
  }

  // The question is in every micro-batch, and the engine that scores comes when the pass has gone.
  Sizes label_bytes() const {
    const Recipe recipe = tuning_.label_recipe();
    const std::size_t width = tuning_.model_->sizes().width;
    Sizes sizes = training_bytes(recipe, 1, 0);
    // Hidden states and logits of the head's blocks, and their gradients.
    sizes.emplace_back("vocabulary head", 2 * recipe.rows * width * sizeof(float));
    return sizes;
  }

  // `filled`: the share of recipe.rows that is ever used; `head`: its parameters.
  Sizes training_bytes(const Recipe& recipe, double filled, std::size_t head) const {
    math::PlanningDevice device;
    const model::TrainingPass pass(tuning_.model_, device,
                                   {.max_rows = recipe.rows,
                                    .rank = recipe.adapter.rank,
                                    .recompute = recipe.recompute,
                                    .precision = recipe.precision});
    Sizes sizes{
        {"activations and gradients",
         static_cast<std::uint64_t>(static_cast<double>(device.allocated_bytes()) * filled)}};
    if (recipe.precision == math::Precision::fast) {
      math::PlanningDevice turned;
      const model::TransposedWeights weights(*tuning_.model_, turned);
      sizes.emplace_back("weights turned for the way back", turned.allocated_bytes());
    }
    math::PlanningDevice small;
    const model::TrainableAdapter adapter(*tuning_.model_, recipe.adapter, recipe.seed, small);
    // Parameters and gradients; two moments; the best epoch's; the result.
    sizes.emplace_back("adapter and optimiser",
                       small.allocated_bytes() + (4 * adapter.size() + 6 * head) * sizeof(float));
    return sizes;
  }

  // --- time ---

  base::ThreadPool& pool() const { return tuning_.device_.context().pool; }

  void add(const std::string& name, double seconds) { plan_.stages.push_back({name, seconds}); }

  void linear() {
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

  void probe() {
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
      eval::LinearBaseline::fit_dense(
          eval::DenseRows{std::span(features).first(rows * width), width},
          std::span(labels).first(rows), {.cost = kCost}, pool());
    });
    add("probe", time.searched(rows()));
  }

  void adapter() {
    stage("a few steps");
    Trainer trainer(tuning_.model_, tuning_.device_, request_.recipe, classes(),
                    tuning_.training_->examples);
    const StepTime time = measure_steps(trainer, tuning_.validation_->examples);
    plan_.epochs = request_.recipe.epochs;
    plan_.batch = request_.recipe.batch;
    plan_.steps = trainer.steps();
    plan_.positions = tokens_of(tuning_.training_->examples);
    plan_.positions_per_second = 1 / time.per_position;
    const double scored =
        time.per_scored * static_cast<double>(tokens_of(tuning_.validation_->examples));
    const double epoch = time.per_position * static_cast<double>(plan_.positions) + scored;
    if (const double epochs = search_epochs(); epochs > 0)
      add("search for the learning rate", epochs * epoch);
    add("training of the adapter", epoch * static_cast<double>(request_.recipe.epochs) + scored);
    if (request_.curve) add("learning curve of the adapter", curve_seconds(time, scored));
    if (tuning_.test_)
      add("test rows", time.per_scored * static_cast<double>(tokens_of(tuning_.test_->examples)));
  }

  void labels() {
    stage("a few steps");
    const auto& validation = tuning_.validation_->label_examples;
    const Recipe recipe = tuning_.label_recipe();
    std::optional<model::AdapterTensors> tensors;
    {
      Trainer trainer(tuning_.model_, tuning_.device_, recipe, 0,
                      tuning_.training_->label_examples);
      const StepTime time = measure_steps(trainer, validation);
      plan_.epochs = recipe.epochs;
      plan_.batch = recipe.batch;
      plan_.steps = trainer.steps();
      plan_.positions = static_cast<std::uint64_t>(time.positions *
                                                   static_cast<double>(trainer.steps_per_epoch()));
      plan_.positions_per_second = 1 / time.per_position;
      const double epoch = time.per_position * static_cast<double>(plan_.positions) +
                           time.per_scored * static_cast<double>(tokens_of(validation));
      add("training of the adapter", epoch * static_cast<double>(recipe.epochs));
      tensors = model::tensors_of(trainer.adapter());
    }
    stage("scores of labels");
    constexpr std::size_t kScored = 16;
    LabelAnswers answers(tuning_.model_, tuning_.label_task_, *tensors, tuning_.device_);
    std::vector<std::string> texts = tuning_.asked(*tuning_.validation_);
    const std::size_t rows = texts.size();
    texts.resize(std::min(rows, kScored));
    const double seconds = seconds_of([&] { answers.scores(texts); });
    const double row = seconds / static_cast<double>(texts.size());
    add("scores of labels", row * static_cast<double>(rows));
    if (tuning_.test_) add("test rows", row * static_cast<double>(tuning_.test_->data.size()));
  }

  // As search() has them.
  double search_epochs() const {
    std::size_t rounds = 0, all = 0;
    for (std::size_t left = request_.search.size(); left > 1; left = (left + 1) / 2) ++rounds;
    std::size_t rates = request_.search.size();
    for (std::size_t round = 0; round < rounds; ++round, rates = (rates + 1) / 2)
      all += rates * std::max<std::size_t>(1, request_.recipe.epochs >> (rounds - round));
    return static_cast<double>(all);
  }

  double curve_seconds(const StepTime& time, double scored) const {
    double seconds = 0;
    for (const std::size_t size : curve_sizes(rows(), classes())) {
      if (size == rows()) continue;
      const auto epochs = static_cast<double>(
          tuning_.automatic_epochs_ ? automatic_schedule(size).epochs : request_.recipe.epochs);
      const double share = static_cast<double>(size) / static_cast<double>(rows());
      seconds +=
          epochs * (time.per_position * share * static_cast<double>(plan_.positions) + scored);
    }
    return seconds;
  }

  static constexpr double kCost = 16;
  static constexpr std::size_t kFeatureTexts = 400;

  Tuning& tuning_;
  const TuningEvents& events_;
  const TuningRequest& request_;
  TuningPlan plan_;
  std::uint64_t resident_ = 0, values_ = 0;
  eval::TextFeatures features_;
  double per_token_ = 0;
};

TuningPlan Tuning::plan(const TuningEvents& events) { return Planner(*this, events).make(); }

nlohmann::ordered_json plan_json(const TuningPlan& plan) {
  using Json = nlohmann::ordered_json;
  Json stages = Json::array(), memory = Json::array();
  for (const TuningPlan::Stage& stage : plan.stages)
    stages.push_back({{"name", stage.name}, {"seconds", stage.seconds}});
  for (const TuningPlan::Memory& part : plan.memory)
    memory.push_back({{"name", part.name}, {"bytes", part.bytes}});
  return {{"epochs", plan.epochs},
          {"batch", plan.batch},
          {"steps", plan.steps},
          {"positions", plan.positions},
          {"positions_per_second", plan.positions_per_second},
          {"stages", stages},
          {"seconds", plan.fits() ? Json(plan.seconds) : Json()},
          {"memory", memory},
          {"peak_bytes", plan.peak_bytes},
          {"usable_bytes", plan.usable_bytes},
          {"fits", plan.fits()}};
}

}  // namespace malina::tune
