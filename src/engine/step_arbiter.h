// One step at a time over all engines of the process: they share its cores and its thread pool.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace malina::engine {

// A fair lock: engines step in the order in which they asked. Any thread.
class StepArbiter {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const std::uint64_t mine = next_++;
    changed_.wait(guard, [&] { return serving_ == mine; });
  }
  void unlock() {
    const std::scoped_lock guard(mutex_);
    ++serving_;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ = 0, serving_ = 0;
};

}  // namespace malina::engine
