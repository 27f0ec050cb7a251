#include "app/interrupt.h"

#include <unistd.h>

#include <atomic>

namespace malina::app {

namespace {

// A signal handler can reach nothing but a global.
std::atomic<bool> interrupted = false, terminated = false;
static_assert(std::atomic<bool>::is_always_lock_free);

// A read that begins just after the handler returned is not ended by the signal, but by the alarm.
constexpr unsigned kReminderSeconds = 1;

void note(int signal) {
  if ((signal == SIGTERM ? terminated : interrupted).exchange(true)) {
    // SA_RESETHAND is not used, because clear() must be able to wait for another one.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  alarm(kReminderSeconds);
}

void remind(int) {
  if (InterruptScope::requested()) alarm(kReminderSeconds);
}

}  // namespace

InterruptScope::InterruptScope() {
  struct sigaction action{};
  sigemptyset(&action.sa_mask);
  action.sa_handler = remind;  // all without SA_RESTART: a blocked read returns
  sigaction(SIGALRM, &action, &old_alarm_);
  action.sa_handler = note;
  sigaction(SIGINT, &action, &old_interrupt_);
  sigaction(SIGTERM, &action, &old_terminate_);
}

InterruptScope::~InterruptScope() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
  alarm(0);
  sigaction(SIGALRM, &old_alarm_, nullptr);
}

bool InterruptScope::requested() { return interrupted.load() || terminated.load(); }
bool InterruptScope::termination_requested() { return terminated.load(); }

void InterruptScope::clear() {
  interrupted.store(false);
  if (!terminated.load()) alarm(0);  // it would end a read that nobody wants to end
}

}  // namespace malina::app
