// A line on standard error that shows how far a long step is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "app/console.h"
#include "app/interrupt.h"
#include "platform/progress.h"

namespace malina::app {

// Shown where standard error is a terminal and a step takes over a second; gone when destroyed.
// While it exists Ctrl-C stops the work in order: the next report throws base::Error(cancelled).
class ProgressBar {
 public:
  explicit ProgressBar(Console& console) : console_(console) {}
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void hide();  // as when the text that was waited for comes
  void operator()(const platform::Progress& progress);
  platform::ProgressSink sink() {
    return [this](const platform::Progress& progress) { (*this)(progress); };
  }

 private:
  using Clock = std::chrono::steady_clock;

  Console& console_;
  InterruptScope interrupt_;
  std::string step_;
  std::uint64_t done_ = 0;
  Clock::time_point begun_, shown_;
  bool visible_ = false;
};

std::string human_seconds(double seconds);  // "3 min 08 s", rounded up

// "copying   42 %  [########------------]  410.2 MB/s  3 s left", after so many seconds of the
// step; without a total "downloading  50.0 MB  5.0 MB/s".
std::string progress_line(const platform::Progress& progress, double seconds);

}  // namespace malina::app
