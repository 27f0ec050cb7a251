// A running tuning job, as the terminal shows it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "app/console.h"
#include "app/progress_bar.h"
#include "platform/tuning.h"

namespace malina::app {

// On standard error, where that is a terminal: a line that is written over, and one that stays for
// each epoch and each method. The console outlives it; it outlives what it watches.
class TuningWatcher {
 public:
  explicit TuningWatcher(Console& console) : console_(console), bar_(console) {}
  ~TuningWatcher() { clear(); }
  TuningWatcher(const TuningWatcher&) = delete;
  TuningWatcher& operator=(const TuningWatcher&) = delete;

  // They pause the job where the user interrupts it.
  tune::TuningEvents events();
  platform::ProgressSink sink() { return bar_.sink(); }

 private:
  using Clock = std::chrono::steady_clock;

  void clear();
  void line(const std::string& text);  // written over by the next
  void keep(const std::string& text);
  void add(const tune::Rung& rung);
  void add(const tune::StepReport& step, std::uint64_t steps);

  Console& console_;
  ProgressBar bar_;
  Clock::time_point begun_, shown_;
  std::uint64_t positions_ = 0, first_step_ = 0, last_step_ = 0;
  double smoothed_ = 0;
};

}  // namespace malina::app
