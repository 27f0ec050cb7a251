// How long parts of a job take, from a few that are measured.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "tune/trainer.h"
#include "tune/tuning_plan.h"

namespace malina::tune {

double seconds_of(const std::function<void()>& work);
std::uint64_t tokens_of(std::span<const TrainingExample> examples);

// What one step of training and one token of scoring take, in seconds.
struct StepTime {
  double per_position = 0, per_scored = 0;
  double positions = 0;  // of a step
};
// Runs a few steps and scores a few examples: the trainer is of no use afterwards.
StepTime measure_steps(Trainer& trainer, std::span<const TrainingExample> validation);

// Writes into the plan what is trained, of an epoch of so many tokens.
void plan_steps(TuningPlan& plan, const Trainer& trainer, const StepTime& time,
                std::uint64_t positions);

// How long one fit by liblinear of so many rows takes, from two that were measured.
class FitTime {
 public:
  FitTime(std::size_t rows, const std::function<void(std::size_t rows)>& fit);
  double one(std::size_t rows) const;
  // With the search for the cost (eval/linear_baseline.cpp): usually five are tried, of five folds
  // or, of many rows, of one part.
  double searched(std::size_t rows) const;

 private:
  std::size_t sample_;
  double seconds_ = 0, power_ = 1;
};

}  // namespace malina::tune
