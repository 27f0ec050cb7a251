// How long work tells its watcher where it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace malina::platform {

struct Progress {
  std::string_view step;                  // "copying"
  std::uint64_t done_bytes, total_bytes;  // total: 0 where nobody knows
  std::uint64_t kept_bytes = 0;           // of those done, the ones that an earlier run had left
  std::string_view unit = {};             // what is counted where it is not bytes: "tokens"
};

// Called on the working thread, many times a second. It may throw base::Error(cancelled) to stop
// the work, which then leaves nothing behind. May be empty.
using ProgressSink = std::function<void(const Progress&)>;

// Sums over the files of one step.
class ByteCounter {
 public:
  ByteCounter(std::string_view step, std::uint64_t total_bytes, const ProgressSink& sink)
      : progress_{step, 0, total_bytes}, sink_(sink) {}
  void add(std::uint64_t bytes) {
    progress_.done_bytes += bytes;
    if (sink_) sink_(progress_);
  }

 private:
  Progress progress_;
  const ProgressSink& sink_;
};

}  // namespace malina::platform
