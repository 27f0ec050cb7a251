#include "tune/step_time.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace malina::tune {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::uint64_t tokens_of(std::span<const TrainingExample> examples) {
  std::uint64_t tokens = 0;
  for (const TrainingExample& example : examples) tokens += example.tokens.size();
  return tokens;
}

FitTime::FitTime(std::size_t rows, const std::function<void(std::size_t rows)>& fit)
    : sample_(std::clamp<std::size_t>(rows / 4, std::min<std::size_t>(rows, 64), 3000)) {
  const double half = seconds_of([&] { fit(std::max<std::size_t>(sample_ / 2, 1)); });
  seconds_ = seconds_of([&] { fit(sample_); });
  power_ = half > 0 && seconds_ > 0 ? std::clamp(std::log2(seconds_ / half), 0.7, 1.3) : 1;
}

double FitTime::one(std::size_t rows) const {
  return seconds_ * std::pow(static_cast<double>(rows) / static_cast<double>(sample_), power_);
}

double FitTime::searched(std::size_t rows) const {
  constexpr double kTried = 5;
  const std::size_t inside = rows * 4 / 5;
  const double trial = rows <= 2000 ? 5 * one(inside) : one(std::min<std::size_t>(4000, inside));
  return one(rows) + kTried * trial;
}

void plan_steps(TuningPlan& plan, const Trainer& trainer, const StepTime& time,
                std::uint64_t positions) {
  plan.epochs = trainer.recipe().epochs;
  plan.batch = trainer.recipe().batch;
  plan.steps = trainer.steps();
  plan.positions = positions;
  plan.positions_per_second = 1 / time.per_position;
}

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

}  // namespace malina::tune
