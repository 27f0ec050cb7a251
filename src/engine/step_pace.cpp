#include "engine/step_pace.h"

#include <algorithm>
#include <bit>

namespace malina::engine {
namespace {

// Of a running mean: about the last ten measurements count.
constexpr double kWeight = 0.2;
// What a further row adds to a step, as a part of what one row takes: the weights are read once for
// all. Only until it is measured; from 0.2 to 0.3 on models of 0.1 to 1.5 billion weights.
constexpr double kFurtherRow = 0.25;
// Fewer rows of prompts tell more about the step than about the rows.
constexpr std::size_t kEnoughRows = 8;

double mean(double before, double now) { return before + kWeight * (now - before); }

}  // namespace

StepPace::StepPace(std::chrono::nanoseconds target)
    : target_(std::chrono::duration<double>(target).count()) {}

std::size_t StepPace::entry_of(std::size_t rows) {
  return rows <= kExact ? rows : kExact + static_cast<std::size_t>(std::bit_width(rows)) - 4;
}

std::size_t StepPace::prompt_rows(std::size_t answer_rows) const {
  if (prompt_row_ <= 0) return kLeastPromptRows;
  const double left = target_ - answer_time(answer_rows);
  return std::max(kLeastPromptRows, static_cast<std::size_t>(std::max(0.0, left) / prompt_row_));
}

double StepPace::answer_time(std::size_t answer_rows) const {
  if (answer_rows == 0) return 0;
  const std::size_t entry = entry_of(answer_rows);
  const auto rows = static_cast<double>(answer_rows);
  std::size_t below = entry;
  while (below > 0 && answers_[below].rows == 0) --below;
  std::size_t above = entry;
  while (above < kEntries && answers_[above].rows == 0) ++above;
  if (below == 0 && above == kEntries) return 0;
  if (below == 0) return answers_[above].seconds;
  const Estimate& low = answers_[below];
  if (below == entry && entry <= kExact) return low.seconds;
  const double guess = low.seconds * (1 + kFurtherRow * std::max(0.0, rows - low.rows) / low.rows);
  return above == kEntries || above == below ? guess : std::min(guess, answers_[above].seconds);
}

void StepPace::measured(std::size_t answer_rows, std::size_t prompt_rows,
                        std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  if (prompt_rows == 0 && answer_rows > 0) {
    Estimate& estimate = answers_[entry_of(answer_rows)];
    const bool first = estimate.rows == 0;
    const auto rows = static_cast<double>(answer_rows);
    estimate.rows = first ? rows : mean(estimate.rows, rows);
    estimate.seconds = first ? seconds : mean(estimate.seconds, seconds);
  } else if (prompt_rows >= kEnoughRows) {
    const double each = std::max(seconds - answer_time(answer_rows), 0.1 * seconds) /
                        static_cast<double>(prompt_rows);
    prompt_row_ = prompt_row_ <= 0 ? each : mean(prompt_row_, each);
  }
}

}  // namespace malina::engine
