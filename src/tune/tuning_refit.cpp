// The end of a tuning job: what was chosen learns from the rows that were held back as well.
#include <fmt/format.h>

#include <algorithm>

#include "tune/tuning_part.h"

namespace malina::tune {

// Rows that were held back have done their work: baseline and probe learn from them as well, with
// the cost that was chosen without them.
void Tuning::refit() {
  if (!report_.validation_from_training || in_turn_) return;
  base::ThreadPool& pool = device_.context().pool;
  const std::uint64_t seed = request_.recipe.seed;
  result_.linear = eval::LinearBaseline::fit(everything_.texts, everything_.labels,
                                             {.cost = result_.linear->cost(), .seed = seed}, pool);
  if (!report_.uses(Method::probe)) return;
  const std::vector<float> features = all_features();
  result_.probe =
      eval::LinearBaseline::fit_dense({features, model_->sizes().width}, everything_.labels,
                                      {.cost = result_.probe->cost(), .seed = seed}, pool);
}

// With few rows those that were held back are a fifth of all, so the adapter with a head is trained
// once more, on all of them: the recipe again, to the epoch that was the best, which nothing
// measures. False where it was paused.
bool Tuning::retrain(const TuningEvents& events) {
  if (!in_turn_ || !report_.uses(Method::lora) || report_.retrained) return true;
  const auto best = std::find_if(report_.history.rbegin(), report_.history.rend(),
                                 [](const EpochReport& epoch) { return epoch.best; });
  if (retraining_ == nullptr) {
    adapter_training_.reset();  // both at once would be the most that the job holds
    all_examples_ = training_->examples;
    all_examples_.insert(all_examples_.end(), validation_->examples.begin(),
                         validation_->examples.end());
    const AdapterTrainingOptions options{
        .recipe = request_.recipe,
        .patience = request_.patience,
        .snapshot = trial_snapshot(request_.snapshot, "all-rows"),
        .origin = origin() + fmt::format("all rows, {} epochs\n", best->epoch),
        .only_epochs = best->epoch};
    if (!options.snapshot.empty()) trial_files_.push_back(options.snapshot);
    retraining_ =
        std::make_unique<ClassifierTraining>(model_, device_, report_.labels.size(), all_examples_,
                                             std::span<const TrainingExample>(), options);
  }
  if (events.stage) events.stage("the adapter once more, on all rows", 0, 1);
  TrainingEvents training = events.training;
  training.epoch = {};  // it has nothing to say of them
  if (!retraining_->run(training)) return false;
  adapter_training_ = std::move(retraining_);
  result_.adapter = adapter_training_->best();
  report_.retrained = Retraining{.rows = all_examples_.size(), .epochs = best->epoch};
  return true;
}

}  // namespace malina::tune
