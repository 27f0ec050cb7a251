// The last rung of a tuning job: an adapter that writes the label, and answers by the probabilities
// of whole labels.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/stopwatch.h"
#include "tune/generation_tuning.h"
#include "tune/label_answers.h"
#include "tune/label_training.h"
#include "tune/tuning_part.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

// Tokens of texts and labels that are computed beside the question which they share.
constexpr std::size_t kOwnRows = 512;
// Beyond so many rows their activations are computed again rather than kept.
constexpr std::size_t kKeptRows = 1536;

}  // namespace

// In `automatic` only where the adapter with a head was worth its training: writing labels takes
// several times as long, and is seldom better (reference figures: docs/reference/tune.md).
bool Tuning::wants_labels() {
  if (request_.method == Method::automatic && request_.up_to != Method::labels)
    report_.labels_left_out =
        fmt::format("none dearer than {} was to be tried", name(request_.up_to));
  if (!wants(Method::labels)) return false;
  const auto is = [](Method method) {
    return [method](const Rung& rung) { return rung.members == std::vector{method}; };
  };
  if (std::any_of(report_.rungs.begin(), report_.rungs.end(), is(Method::labels))) return false;
  if (!report_.labels_left_out.empty()) return false;  // as was found before a pause
  if (request_.method == Method::labels) return true;
  const auto lora = std::find_if(report_.rungs.begin(), report_.rungs.end(), is(Method::lora));
  const auto cheaper =
      std::max_element(report_.rungs.begin(), lora, [](const Rung& a, const Rung& b) {
        return a.validation.accuracy.value < b.validation.accuracy.value;
      });
  const Comparison comparison = compare(rung_rows(), *cheaper, *lora);
  if (!comparison.better || comparison.p_value >= request_.significance) {
    report_.labels_left_out = fmt::format(
        "the answers of lora are not significantly better than those of {} (p = {:.3g})",
        name(cheaper->members), comparison.p_value);
    return false;
  }
  report_.labels_left_out = labels_refusal();
  if (report_.labels_left_out.empty()) report_.labels_left_out = labels_left_out_;
  return report_.labels_left_out.empty();
}

// It is no fault of the job: it has other methods.
std::string Tuning::labels_refusal() {
  try {
    ask_for_labels();
  } catch (const Error& error) {
    if (error.fault() != Fault::unsupported && error.fault() != Fault::invalid_argument) throw;
    return error.what();
  }
  return "";
}

void Tuning::ask_for_labels() {
  if (label_task_) return;
  // The tokenizer outlives the job.
  const std::shared_ptr<const text::Tokenizer> tokenizer(std::shared_ptr<void>(), tokenizer_);
  auto task = std::make_shared<LabelTask>(decide::PromptSource{tokenizer, request_.chat_template},
                                          report_.labels, std::string(kLabelInstructions),
                                          request_.form.max_tokens, model_->sizes().context);
  std::size_t truncated = 0;
  for (Part* part : {training_.get(), validation_.get(), test_.get()}) {
    if (part == nullptr) continue;
    part->label_examples.clear();
    part->asked.clear();
    for (std::size_t i = 0; i < part->data.size(); ++i) {  // what cannot be read is said now
      LabelTask::Reading reading = task->read(part->data.texts[i]);
      if (part != test_.get())
        part->label_examples.push_back(task->example(reading, part->classes[i]));
      if (part != training_.get()) part->asked.push_back(std::move(reading.text));
      truncated += reading.truncated ? 1 : 0;
    }
  }
  if (request_.method == Method::labels) report_.truncated += truncated;
  label_task_ = std::move(task);
}

// As of a model that writes, whose rows are few tokens after a long question.
Recipe Tuning::label_recipe() const {
  Recipe recipe = request_.recipe;
  recipe.pooling = Pooling::last;
  recipe.learning_rate = asked_rate_;
  if (automatic_epochs_) recipe.epochs = generation_epochs(training_->data.size(), recipe.batch);
  std::size_t longest = 0;
  for (const Part* part : {training_.get(), validation_.get()})
    for (const TrainingExample& example : part->label_examples)
      longest = std::max(longest, example.tokens.size());
  recipe.rows = std::max(recipe.rows, longest + kOwnRows);
  recipe.recompute = recipe.recompute || recipe.rows > kKeptRows;
  return recipe;
}

bool Tuning::climb_labels(const TuningEvents& events) {
  const base::Stopwatch watch;
  if (!result_.label_adapter && !train_labels(events)) return false;
  return !result_.label_adapter || score_labels(watch, events);
}

// True where it came to an end: with an adapter, or without one because it diverged.
bool Tuning::train_labels(const TuningEvents& events) {
  if (label_training_ == nullptr) {
    // Both at once would be the most that the job holds.
    if (adapter_training_ != nullptr) adapter_training_->rest();
    if (events.stage) events.stage("an adapter that writes labels", 0, 1);
    const AdapterTrainingOptions options{
        .recipe = label_recipe(),
        .patience = request_.patience,
        .snapshot = trial_snapshot(request_.snapshot, "labels"),
        .origin = origin() + fmt::format("labels, {}\n", kLabelInstructions)};
    if (!options.snapshot.empty()) trial_files_.push_back(options.snapshot);
    label_training_ =
        std::make_unique<LabelTraining>(model_, device_, label_task_, training_->label_examples,
                                        validation_->label_examples, validation_->classes, options);
  }
  try {
    if (!label_training_->run(events.training)) return false;
  } catch (const DivergedError& error) {  // the job has other methods, unless it was to be this one
    if (request_.method == Method::labels) throw;
    label_training_.reset();
    report_.labels_left_out = error.what();
    return true;
  }
  report_.label_recipe = label_recipe();
  report_.label_history = label_training_->history();
  report_.label_losses = step_losses(label_training_->losses());
  result_.label_adapter = label_training_->best();
  label_training_.reset();  // before the engine takes its memory
  return true;
}

bool Tuning::score_labels(const base::Stopwatch& watch, const TuningEvents& events) {
  if (label_answers_ == nullptr)
    label_answers_ =
        std::make_unique<LabelAnswers>(model_, label_task_, *result_.label_adapter, device_);
  const auto scores = label_answers_->scores(
      validation_->asked, progress_of("scoring labels", validation_->data.size(), events));
  if (!scores) return false;
  const std::vector<double> prior = label_answers_->prior();
  eval::ProbabilityTable plain = tune::probabilities_of(*scores, report_.labels.size(), {}),
                         corrected = tune::probabilities_of(*scores, report_.labels.size(), prior);
  const Comparison comparison = compare(validation_->classes, plain, corrected);
  const bool helps = comparison.better && comparison.p_value < request_.significance;
  if (helps) report_.label_prior = prior;
  add_rung({.members = {Method::labels},
            .weights = {1},
            .validation = {},
            .seconds = watch.seconds(),
            .p_value = {},
            .probabilities = helps ? std::move(corrected) : std::move(plain)},
           events);
  return true;
}

}  // namespace malina::tune
