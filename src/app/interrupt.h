// Ctrl-C (SIGINT) and SIGTERM as a request to stop, while a command wants to end in order.
#pragma once

#include <csignal>

namespace malina::app {

// While one exists the first signal is only noted; a second one ends the program as usual. At most
// one at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  static bool requested();
  static void clear();  // and note the next one again

 private:
  struct sigaction old_interrupt_{}, old_terminate_{};
};

}  // namespace malina::app
