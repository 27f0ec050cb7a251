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

}  // namespace malina::base
