// How long a step of so many rows takes, from those that were measured, and how many rows of
// prompts a step may take therefore.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace malina::engine {

// One thread. What it says decides how prompts are cut, never what is computed.
class StepPace {
 public:
  // A prompt goes on by at least so many rows a step, however long they take.
  static constexpr std::size_t kLeastPromptRows = 32;

  explicit StepPace(std::chrono::nanoseconds target);

  // Rows of prompts for which a step with so many rows of answers stays within the target.
  std::size_t prompt_rows(std::size_t answer_rows) const;
  // The seconds that so many rows of answers take; 0 before anything was measured.
  double answer_time(std::size_t answer_rows) const;
  void measured(std::size_t answer_rows, std::size_t prompt_rows, std::chrono::nanoseconds time);

 private:
  // One estimate for each number of rows up to kExact, and one for each power of two above.
  static constexpr std::size_t kExact = 16, kEntries = kExact + 1 + 60;
  static std::size_t entry_of(std::size_t rows);

  struct Estimate {
    double rows = 0, seconds = 0;  // rows 0: nothing measured
  };
  double target_;
  double prompt_row_ = 0;  // seconds; 0: nothing measured
  std::array<Estimate, kEntries> answers_{};
};

}  // namespace malina::engine
