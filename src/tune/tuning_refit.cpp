// The end of a tuning job: what was chosen learns from the rows that were held back as well.
#include <fmt/format.h>

#include "tune/second_training.h"
#include "tune/tuning_part.h"

namespace malina::tune {

// Rows that were held back have done their work: baseline and probe learn from them as well, with
// cost or shrinkage as they were chosen without them.
void Tuning::refit() {
  if (!report_.validation_from_training || in_turn_) return;
  base::ThreadPool& pool = device_.context().pool;
  const std::uint64_t seed = request_.recipe.seed;
  result_.linear = eval::LinearBaseline::fit(everything_.texts, everything_.labels,
                                             stoppable(result_.linear->options(seed)), pool);
  if (!report_.uses(Method::probe)) return;
  const std::vector<float> features = all_features();
  result_.probe =
      eval::LinearBaseline::fit_dense({features, model_->sizes().width}, everything_.labels,
                                      stoppable(result_.probe->options(seed)), pool);
}

// In a job whose rows are few, where an adapter with a head can be chosen.
bool Tuning::retrains() const { return in_turn_ && !few_out_of_scope_; }

void Tuning::begin_retraining() {
  if (adapter_training_ != nullptr) {
    first_best_ = adapter_training_->take_best();
    adapter_training_.reset();  // both at once would be the most that the job holds
  }
  all_examples_ = training_->examples;
  all_examples_.insert(all_examples_.end(), validation_->examples.begin(),
                       validation_->examples.end());
  const AdapterTrainingOptions options = second_training(training_options(), report_.history);
  begin_second_training(options, [&] {
    retraining_ =
        std::make_unique<ClassifierTraining>(model_, device_, report_.labels.size(), all_examples_,
                                             std::span<const TrainingExample>(), options);
  });
}

// The adapter stays as it was measured.
void Tuning::keep_first(std::string why) {
  retraining_.reset();
  adapter_training_ = std::make_unique<ClassifierTraining>(
      model_, device_, report_.labels.size(), training_->examples, validation_->examples,
      AdapterTrainingOptions{.recipe = request_.recipe, .snapshot = {}, .origin = {}});
  adapter_training_->put_best(std::move(first_best_));
  report_.retraining_left_out = std::move(why);
}

// With few rows those that were held back are a fifth of all, so the adapter with a head is trained
// once more, on all of them: the recipe again, to the epoch that was the best. Nothing measures it
// there, but it must have come about as far. False where it was paused.
bool Tuning::retrain(const TuningEvents& events) {
  if (!retrains() || !report_.uses(Method::lora) || report_.retrained ||
      !report_.retraining_left_out.empty())
    return true;
  if (retraining_ == nullptr) begin_retraining();
  if (events.stage) events.stage("the adapter once more, on all rows", 0, 1);
  SecondRun run = run_second_training(*retraining_, report_.history, events.training);
  if (run.paused) return false;
  if (!run.fault.empty()) {
    keep_first(std::move(run.fault));
    return true;
  }
  adapter_training_ = std::move(retraining_);
  first_best_ = {};
  result_.adapter = adapter_training_->best();
  report_.retrained =
      Retraining{.rows = all_examples_.size(), .epochs = best_of(report_.history).epoch};
  return true;
}

}  // namespace malina::tune
