#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace malina::base {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceInEveryJob) {
  for (unsigned threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    for (std::size_t tasks : {0, 1, 2, 3, 17, 100}) {
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<int> counts(tasks, 0);
        pool.run(tasks, [&](std::size_t task) { counts[task] += 1; });
        EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), static_cast<int>(tasks));
        for (int count : counts) ASSERT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> count{0};
    pool.run(8, [&](std::size_t) { count.fetch_add(1); });
    ASSERT_EQ(count.load(), 8);
  }
}

TEST(ThreadPool, UsesAtLeastOneThread) { EXPECT_GE(ThreadPool::default_threads(), 1U); }

}  // namespace
}  // namespace malina::base
