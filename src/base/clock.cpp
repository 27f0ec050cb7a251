#include "base/clock.h"

namespace malina::base {

namespace {

class SystemClock final : public Clock {
 public:
  Wall wall() const override { return std::chrono::system_clock::now(); }
  Monotonic monotonic() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::int64_t unix_time() { return unix_time_microseconds() / 1'000'000; }

std::int64_t unix_time_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock().wall().time_since_epoch())
      .count();
}

}  // namespace malina::base
