#include "app/interrupt.h"

#include <atomic>

namespace malina::app {

namespace {

// A signal handler can reach nothing but a global.
std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void note(int signal) {
  if (interrupted.exchange(true)) {
    // SA_RESETHAND is not used, because clear() must be able to wait for another one.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

InterruptScope::InterruptScope() {
  clear();
  struct sigaction action{};
  action.sa_handler = note;  // without SA_RESTART: a blocked read returns
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &old_interrupt_);
  sigaction(SIGTERM, &action, &old_terminate_);
}

InterruptScope::~InterruptScope() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
}

bool InterruptScope::requested() { return interrupted.load(); }
void InterruptScope::clear() { interrupted.store(false); }

}  // namespace malina::app
