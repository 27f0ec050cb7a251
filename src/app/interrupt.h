// Ctrl-C (SIGINT) and SIGTERM as a request to stop, while a command wants to end in order.
#pragma once

#include <csignal>

namespace malina::app {

// While one exists the first signal of each kind is only noted, and ends a blocking read; the
// second ends the program as usual. One may stand inside of another; what one noted and nobody
// heeded, the next one still has.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  static bool requested();              // by either signal
  static bool termination_requested();  // by SIGTERM: not only this step is to end, but the program
  static void clear();  // forgets Ctrl-C and notes the next one again; SIGTERM stays noted for good

 private:
  struct sigaction old_interrupt_{}, old_terminate_{}, old_alarm_{};
};

}  // namespace malina::app
