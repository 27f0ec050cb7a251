// The end of a tuning job for spans: what was chosen learns from the texts that were held back as
// well. Calibration stays: there is nothing left to fit it on.
#include <fmt/format.h>

#include "tune/second_training.h"
#include "tune/span_tuning_part.h"

namespace malina::tune {

bool SpanTuning::refit(const SpanEvents& events) {
  if (!report_.validation_from_training || report_.refitted_rows ||
      !report_.refitting_left_out.empty())
    return true;
  if (!report_.uses_adapter())
    refit_linear(events);
  else if (!retrains())
    return true;
  else if (!retrain(events))
    return false;
  // The certificate's.
  const SpanMethod method = report_.rungs[report_.chosen].method;
  validation_scores_[report_.chosen] = scored(method, *validation_);
  return true;
}

void SpanTuning::refit_linear(const SpanEvents& events) {
  if (events.stage) events.stage("the linear tagger once more, on all texts", 0, 1);
  SpanTexts all = training_->data;
  const SpanTexts& held_back = validation_->data;
  all.texts.insert(all.texts.end(), held_back.texts.begin(), held_back.texts.end());
  all.slots.insert(all.slots.end(), held_back.slots.begin(), held_back.slots.end());
  run_.reset();  // both at once would be the most that the job holds
  linear_.reset();
  linear_ = fitted(all);
  report_.refitted_rows = all.size();
}

// Of few texts, those held back are a fifth.
bool SpanTuning::retrains() const {
  return report_.validation_from_training &&
         report_.training_rows + report_.validation_rows < kFewRows;
}

void SpanTuning::begin_retraining() {
  const AdapterTrainingOptions options = second_training(training_options(), report_.history);
  if (run_ != nullptr) {
    first_best_ = run_->take_best();
    run_.reset();  // both at once would be the most that the job holds
  }
  all_examples_ = training_->encoded.examples;
  const auto& held_back = validation_->encoded.examples;
  all_examples_.insert(all_examples_.end(), held_back.begin(), held_back.end());
  begin_second_training(options, [&] {
    retraining_ =
        std::make_unique<SpanTraining>(model_, device_, report_.types.size(), all_examples_,
                                       std::span<const TrainingExample>(), options);
  });
}

// The adapter stays as it was measured.
void SpanTuning::keep_first(std::string why) {
  retraining_.reset();
  AdapterTrainingOptions options = training_options();
  options.snapshot.clear();
  run_ = std::make_unique<SpanTraining>(model_, device_, report_.types.size(),
                                        training_->encoded.examples, validation_->encoded.examples,
                                        options);
  run_->put_best(std::move(first_best_));
  report_.refitting_left_out = std::move(why);
}

// False where it was paused.
bool SpanTuning::retrain(const SpanEvents& events) {
  if (retraining_ == nullptr) begin_retraining();
  if (events.stage) events.stage("the adapter once more, on all texts", 0, 1);
  SecondRun run = run_second_training(*retraining_, report_.history, events.training);
  if (run.paused) return false;
  if (!run.fault.empty()) {
    keep_first(std::move(run.fault));
    return true;
  }
  run_ = std::move(retraining_);
  first_best_ = {};
  adapter_ = run_->best();
  report_.refitted_rows = all_examples_.size();
  return true;
}

}  // namespace malina::tune
