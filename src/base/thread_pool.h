// The one thread pool of the process: kernels split their rows over it. The calling thread works
// too. A job is a number of tasks that threads claim one after another, so a slow neighbour costs
// little; what a task computes never depends on which thread runs it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace malina::base {

class ThreadPool {
 public:
  // `threads` counts the calling thread; 0 means default_threads().
  explicit ThreadPool(unsigned threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  // Cores this process may use: affinity and the cgroup's quota, whichever is less; at least 1.
  static unsigned default_threads();

  // Calls function(task) for every task in [0, tasks) and returns when all are done. One caller at
  // a time. The function must not throw and must not call run.
  template <class Function>
  void run(std::size_t tasks, Function&& function) {
    if (tasks == 0) return;
    if (tasks == 1 || workers_.empty()) {
      for (std::size_t task = 0; task < tasks; ++task) function(task);
      return;
    }
    using Callable = std::remove_reference_t<Function>;
    run_job(
        tasks, [](void* data, std::size_t task) { (*static_cast<Callable*>(data))(task); },
        const_cast<void*>(static_cast<const void*>(&function)));
  }

 private:
  using Call = void (*)(void*, std::size_t);

  void run_job(std::size_t tasks, Call call, void* data);
  void work();
  bool claim_and_run(std::uint32_t job);
  void stop();  // ends and joins the workers

  // The job's number (high half) and the next task to claim (low half): a thread that wakes late
  // cannot claim a task of a job that has ended.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::uint32_t> job_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> sleepers_{0};
  // Written before ticket_ is published; read only by those who claimed a task of this job.
  std::atomic<std::uint32_t> tasks_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<void*> data_{nullptr};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace malina::base
