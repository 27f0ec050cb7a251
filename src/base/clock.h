// The time, as something that is passed and that a test can set.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace malina::base {

// Safe on many threads.
class Clock {
 public:
  using Wall = std::chrono::system_clock::time_point;
  using Monotonic = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;
  virtual Wall wall() const = 0;  // the calendar's; someone may set it, back too
  virtual Monotonic monotonic()
      const = 0;  // never goes back; counts from this start of the machine
};

// The machine's own.
const Clock& system_clock();
std::int64_t unix_time();  // its calendar's seconds since 1970-01-01 UTC
std::int64_t unix_time_microseconds();

// Stands until it is told to move.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Wall wall = Wall(std::chrono::hours(500'000))) : wall_(wall) {}
  Wall wall() const override { return wall_.load(); }
  Monotonic monotonic() const override { return monotonic_.load(); }

  // Time passes: both clocks go on.
  void advance(std::chrono::steady_clock::duration by) {
    wall_ = wall_.load() + std::chrono::duration_cast<Wall::duration>(by);
    monotonic_ = monotonic_.load() + by;
  }
  // Someone sets the calendar's clock.
  void set_wall(Wall wall) { wall_ = wall; }

 private:
  std::atomic<Wall> wall_;
  std::atomic<Monotonic> monotonic_{Monotonic(std::chrono::hours(1))};
};

}  // namespace malina::base
