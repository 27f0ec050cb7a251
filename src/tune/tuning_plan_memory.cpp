// The memory of a job's plan: what is resident after reading model and data, and bytes of
// everything that comes beside it, each from its own sizes: what the same code would allocate, on a
// planning device.
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "model/transposed_weights.h"
#include "tune/label_answers.h"
#include "tune/tuning_planner.h"

namespace malina::tune {

std::uint64_t Tuning::Planner::resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

bool Tuning::Planner::ask_for_labels() {
  plan_.labels_left_out = tuning_.labels_refusal();
  const std::uint64_t with = resident_bytes();
  asked_bytes_ = with - std::min(with, resident_);
  return plan_.labels_left_out.empty();
}

void Tuning::Planner::count_memory() {
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
    if (tuning_.wants(Method::probe)) stage.emplace_back("features of the probe", feature_bytes());
    stages.push_back(stage);
  }
  if (request_.method == Method::labels || may_climb_)
    for (Sizes& stage : label_stages(kept)) {
      if (may_climb_ && !plan_.labels)
        plan_.labels = TuningPlan::Labels{.seconds = 0, .peak_bytes = 0};
      if (may_climb_)
        plan_.labels->peak_bytes = std::max(plan_.labels->peak_bytes, resident_ + sum(stage));
      stages.push_back(std::move(stage));
    }
  const auto& most =
      *std::max_element(stages.begin(), stages.end(),
                        [&](const Sizes& a, const Sizes& b) { return sum(a) < sum(b); });
  plan_.memory.push_back({"program, model and data", resident_});
  for (const auto& [name, bytes] : most) plan_.memory.push_back({name, bytes});
  plan_.peak_bytes = resident_ + sum(most);
}

std::vector<Tuning::Planner::Sizes> Tuning::Planner::label_stages(Sizes kept) const {
  if (may_climb_) {
    kept.emplace_back("features of the probe", feature_bytes());
    kept.push_back(resting_adapter_bytes());
    kept.emplace_back("texts and labels as they are written", asked_bytes_);
  }
  Sizes training = kept, scoring = std::move(kept);
  for (auto& part : label_bytes()) training.push_back(std::move(part));
  scoring.emplace_back(
      "the engine that scores labels",
      LabelAnswers::bytes(tuning_.model_->sizes(), tuning_.label_task_->context()));
  return {std::move(training), std::move(scoring)};
}

std::uint64_t Tuning::Planner::sum(const Sizes& sizes) {
  std::uint64_t bytes = 0;
  for (const auto& size : sizes) bytes += size.second;
  return bytes;
}

std::uint64_t Tuning::Planner::linear_work(std::uint64_t model) const {
  const bool folds = rows() <= 2000;
  const std::uint64_t kept_rows = folds ? 5 * values_ * 8 : values_ * 8;
  return values_ * 16 + kept_rows + pool().threads() * features_.width() * 8 * 8 +
         (folds ? model : 0);
}

std::uint64_t Tuning::Planner::feature_bytes() const {
  return (rows() + tuning_.validation_->data.size()) * tuning_.model_->sizes().width *
         sizeof(float);
}

std::uint64_t Tuning::Planner::probe_bytes() const {
  math::PlanningDevice device;
  const model::TrainingPass pass(tuning_.model_, device,
                                 {.max_rows = request_.recipe.rows, .recompute = true});
  const std::uint64_t values = rows() * tuning_.model_->sizes().width;
  // Fitting comes after the pass has gone: nodes, and rows of all trials.
  const std::uint64_t fitting = values * 16 + (rows() <= 2000 ? 5 : 1) * values * 8;
  return feature_bytes() + std::max<std::uint64_t>(device.allocated_bytes(), fitting);
}

double Tuning::Planner::filled() const {
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

Tuning::Planner::Sizes Tuning::Planner::adapter_bytes() const {
  const std::size_t head = classes() * tuning_.model_->sizes().width;
  return training_bytes(request_.recipe, filled(), head);
}

Tuning::Planner::Sizes::value_type Tuning::Planner::resting_adapter_bytes() const {
  return {"the adapter with a head", adapter_bytes().back().second};
}

Tuning::Planner::Sizes Tuning::Planner::label_bytes() const {
  const Recipe recipe = tuning_.label_recipe();
  const std::size_t width = tuning_.model_->sizes().width;
  Sizes sizes = training_bytes(recipe, 1, 0);
  // Hidden states and logits of the head's blocks, and their gradients.
  sizes.emplace_back("vocabulary head", 2 * recipe.rows * width * sizeof(float));
  return sizes;
}

Tuning::Planner::Sizes Tuning::Planner::training_bytes(const Recipe& recipe, double filled,
                                                       std::size_t head) const {
  math::PlanningDevice device;
  const model::TrainingPass pass(tuning_.model_, device,
                                 {.max_rows = recipe.rows,
                                  .rank = recipe.adapter.rank,
                                  .recompute = recipe.recompute,
                                  .precision = recipe.precision});
  Sizes sizes{{"activations and gradients",
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

}  // namespace malina::tune
