#include "base/thread_pool.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"
#include "base/machine.h"

namespace malina::base {
namespace {

// Spinning is worth it between the operations of one step (a barrier by futex costs 25-66
// microseconds, hundreds of times a token), not between requests.
constexpr int kSpins = 4000;

inline void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

unsigned ThreadPool::default_threads() {
  return static_cast<unsigned>(read_machine().usable_threads);
}

ThreadPool::ThreadPool(unsigned threads) {
  if (threads == 0) threads = default_threads();
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    const std::size_t started = workers_.size() + 1;
    stop();
    throw Error(Fault::out_of_memory, fmt::format("cannot start more than {} of {} threads: {}",
                                                  started, threads, error.code().message()));
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_.store(true);
  job_.fetch_add(1);
  job_.notify_all();
  for (auto& worker : workers_) worker.join();
}

bool ThreadPool::claim_and_run(std::uint32_t job) {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const auto task = static_cast<std::uint32_t>(ticket);
    if (static_cast<std::uint32_t>(ticket >> 32) != job || task >= tasks_.load()) return false;
    if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
      call_.load(std::memory_order_relaxed)(data_.load(std::memory_order_relaxed), task);
      done_.fetch_add(1, std::memory_order_release);
      return true;
    }
  }
}

void ThreadPool::run_job(std::size_t tasks, Call call, void* data) {
  const std::uint32_t job = job_.load(std::memory_order_relaxed) + 1;
  // Between jobs the ticket names a job that is over, so nothing below can be claimed early: first
  // no task, then the new job's fields, then its ticket.
  tasks_.store(0);
  ticket_.store(static_cast<std::uint64_t>(job) << 32, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  data_.store(data, std::memory_order_relaxed);
  tasks_.store(static_cast<std::uint32_t>(tasks));
  job_.store(job);
  if (sleepers_.load() != 0) job_.notify_all();
  while (claim_and_run(job)) {
  }
  for (int spins = 0; done_.load(std::memory_order_acquire) != tasks; ++spins) {
    pause_thread();
    if (spins > kSpins) std::this_thread::yield();  // more threads than cores
  }
}

void ThreadPool::work() {
  std::uint32_t seen = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    std::uint32_t job = job_.load(std::memory_order_acquire);
    for (int spins = 0; job == seen && spins < kSpins; ++spins) {
      pause_thread();
      job = job_.load(std::memory_order_acquire);
    }
    if (job == seen) {
      sleepers_.fetch_add(1);
      job_.wait(seen);
      sleepers_.fetch_sub(1);
      continue;
    }
    seen = job;
    while (claim_and_run(job)) {
    }
  }
}

}  // namespace malina::base
