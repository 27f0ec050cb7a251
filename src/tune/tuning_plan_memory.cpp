// The memory of a job's plan, stage by stage (training_memory.h).
#include <algorithm>

#include "eval/discriminant_analysis.h"
#include "tune/label_answers.h"
#include "tune/training_memory.h"
#include "tune/tuning_curve.h"
#include "tune/tuning_planner.h"

namespace malina::tune {

namespace {

const MemoryParts& largest_of(const std::vector<MemoryParts>& stages) {
  return *std::max_element(
      stages.begin(), stages.end(),
      [](const MemoryParts& a, const MemoryParts& b) { return bytes_of(a) < bytes_of(b); });
}

}  // namespace

MemoryParts Tuning::Planner::working_memory(std::uint64_t most) {
  measure_words();
  const MemoryParts kept{{"linear baseline", linear_bytes()}};
  std::vector<MemoryParts> stages{kept};
  stages.back().push_back({"its fitting", linear_work(linear_bytes())});
  if (tuning_.wants(Method::probe)) {
    stages.push_back(kept);
    stages.back().push_back({"probe", probe_bytes()});
  }
  if (tuning_.wants(Method::lora)) {
    stages.push_back(kept);
    for (const auto& part : adapter_memory()) stages.back().push_back(part);
    if (tuning_.wants(Method::probe))
      stages.back().push_back({"features of the probe", feature_bytes()});
  }
  if (request_.method == Method::labels) {
    stages.push_back(label_memory());
  } else if (tuning_.wants(Method::labels)) {
    labels_left_out_ = tuning_.labels_refusal();
    if (labels_left_out_.empty()) {
      MemoryParts labels = label_memory();
      label_bytes_ = bytes_of(labels);
      labels_left_out_ = shortage(label_bytes_, most);
      may_climb_ = labels_left_out_.empty();
      if (may_climb_) stages.push_back(std::move(labels));
    }
  }
  return largest_of(stages);
}

void Tuning::Planner::measure_words() {
  features_ = eval::TextFeatures::fit(tuning_.training_->data.texts, pool());
  for (const std::string& text : tuning_.training_->data.texts)
    values_ += features_.row(text).columns.size();
}

std::uint64_t Tuning::Planner::linear_bytes() const {
  const std::uint64_t weights = (features_.width() + 1) * classes() * sizeof(float);
  const std::uint64_t terms = features_.width() * 48;  // the table and its slots
  return weights + terms;
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
  const std::uint64_t width = tuning_.model_->sizes().width, trials = rows() <= 2000 ? 5 : 1;
  std::uint64_t fitting = values * 16 + trials * values * 8;
  // Covariances of the trials, and one at work.
  if (width <= eval::DiscriminantAnalysis::kMostWidth)
    fitting = std::max(fitting, (trials + 1) * (values + width * width) * 8);
  return feature_bytes() + std::max<std::uint64_t>(device.allocated_bytes(), fitting);
}

MemoryParts Tuning::Planner::adapter_memory() const {
  const auto validation = std::span(tuning_.validation_->examples);
  MemoryParts parts = adapter_training_memory(
      tuning_.model_, request_.recipe, classes(),
      filled_share(tuning_.training_->examples, validation, request_.recipe));
  if (request_.curve && !curve_sizes(rows(), classes()).empty()) add_trial(parts);
  return parts;
}

// What the stages before it keep to the job's end. Of the adapter with a head, while another is
// trained (Trainer::rest), that is all but its activations.
MemoryParts Tuning::Planner::kept_by_others() const {
  MemoryParts kept{{"linear baseline", linear_bytes()}};
  if (request_.method == Method::labels) return kept;
  kept.push_back({"features of the probe", feature_bytes()});
  for (const auto& part : adapter_memory())
    if (part.name == kAdapterPart) kept.push_back({"the adapter with a head", part.bytes});
  std::uint64_t asked = 0;
  for (const Part* part :
       {tuning_.training_.get(), tuning_.validation_.get(), tuning_.test_.get()}) {
    if (part == nullptr) continue;
    asked += bytes_of(part->label_examples);
    for (const std::string& text : part->asked) asked += text.capacity() + sizeof text;
  }
  kept.push_back({"texts and labels as they are written", asked});
  return kept;
}

// Training, or scoring: the engine that scores comes when the pass has gone. The question is in
// every micro-batch.
MemoryParts Tuning::Planner::label_memory() const {
  std::vector<MemoryParts> stages(2, kept_by_others());
  for (auto& part : adapter_training_memory(tuning_.model_, tuning_.label_recipe(), 0, 1))
    stages[0].push_back(std::move(part));
  stages[1].push_back(
      {"the engine that scores labels",
       LabelAnswers::bytes(tuning_.model_->sizes(), tuning_.label_task_->context())});
  return largest_of(stages);
}

std::uint64_t Tuning::settle_memory(std::uint64_t most) {
  Planner planner(*this, {});
  const MemoryParts parts = planner.working_memory(most);
  check_memory(parts, most);
  labels_left_out_ = planner.labels_left_out();
  return bytes_of(parts);
}

}  // namespace malina::tune
