#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/random.h"
#include "engine/test_pool.h"

namespace malina::engine {
namespace {

// Steps without a model: positions are taken, and each answer is the token 7 again and again.
class Steps {
 public:
  Steps(std::size_t positions, std::size_t max_rows,
        const std::vector<std::uint32_t>& windows = {0})
      : sizes_(sizes_of(windows)),
        pool_(device_, sizes_, math::KvType::f16, positions),
        max_rows_(max_rows),
        scheduler_(pool_, max_rows, 0, Speculation::off, [this](std::size_t n) {
          return model::PagePool::pages_for(sizes_, n, max_rows_);
        }) {
    pace_.measured(0, 100, std::chrono::microseconds(1));  // prompts cost nothing: all rows
  }

  Task* add(std::vector<Token> prompt, std::size_t max_tokens, const std::string& owner = "",
            const std::string& scope = "") {
    Generation generation;
    generation.prompt = std::move(prompt);
    generation.max_tokens = max_tokens;
    generation.owner = owner;
    generation.cache_scope = scope;
    auto task = std::make_unique<Task>(std::move(generation), std::make_shared<Stream>(), 100000);
    Task* pointer = task.get();
    scheduler_.add(std::move(task));
    return pointer;
  }

  // One step; false when there was nothing to do.
  bool step() {
    const auto portions = scheduler_.plan(pace_);
    std::size_t rows = 0;
    std::set<const Task*> tasks;
    model::PageCounts needed;
    for (const auto& [task, count, drafts] : portions) {
      EXPECT_GT(count, 0u);
      EXPECT_TRUE(drafts.empty());
      EXPECT_LE(count, task->remaining());
      EXPECT_TRUE(tasks.insert(task).second);
      needed += task->sequence->pages_needed(count);
      rows += count;
      rows_of_[task->generation.owner] += count;
    }
    EXPECT_LE(rows, max_rows_);
    EXPECT_TRUE(needed.fits_in(pool_.free_pages()));
    for (const auto& portion : portions) compute(*portion.task, portion.rows);
    scheduler_.computed();
    scheduler_.sweep();
    return rows > 0;
  }

  void run_to_the_end() {
    std::size_t steps = 0;
    while (step()) ASSERT_LT(++steps, 200000u);
    EXPECT_EQ(scheduler_.running() + scheduler_.waiting(), 0u);
  }

  Scheduler& scheduler() { return scheduler_; }
  model::PagePool& pool() { return pool_; }
  std::size_t rows() const { return rows_; }  // of all steps
  std::size_t finished() const { return finished_; }
  std::size_t rows_of(const std::string& owner) { return rows_of_[owner]; }

 private:
  void compute(Task& task, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) task.sequence->extend();
    task.sequence->drop_outside_window();
    rows_ += count;
    if (task.remaining() > 0) return;
    task.tokens.push_back(7);
    task.over = ++task.result.answer_tokens == task.generation.max_tokens;
    if (task.over) ++finished_;
  }

  base::ThreadPool threads_{1};
  math::CpuDevice device_{threads_};
  model::Sizes sizes_;
  model::PagePool pool_;
  std::size_t max_rows_;
  StepPace pace_{std::chrono::milliseconds(100)};
  Scheduler scheduler_;
  std::size_t rows_ = 0, finished_ = 0;
  std::map<std::string, std::size_t> rows_of_;
};

std::vector<Token> text(Token first, std::size_t tokens) {
  std::vector<Token> result(tokens);
  std::iota(result.begin(), result.end(), first);
  return result;
}

TEST(Scheduler, WhoAnswersHasARowInEachStep) {
  Steps steps(3200, 64);
  const Task* answering = steps.add(text(0, 10), 50);
  steps.step();
  ASSERT_EQ(answering->tokens.size(), 11u);
  for (int i = 0; i < 5; ++i) steps.add(text(100 * i, 300), 10);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(answering->tokens.size(), 11u + i);
    steps.step();
  }
}

TEST(Scheduler, OneOwnersManyDoNotStarveAnothersOne) {
  Steps steps(100 * 32, 64);
  for (int i = 0; i < 100; ++i) steps.add(text(100 * i, 200), 20, "many");
  for (int i = 0; i < 10; ++i) steps.step();
  const std::size_t done = steps.finished();
  Task* one = steps.add(text(50000, 200), 20, "one");
  int count = 0;
  while (one->result.answer_tokens < 19) {
    steps.step();
    ASSERT_LT(++count, 60);
  }
  EXPECT_LT(steps.finished() - done, 40u);
}

TEST(Scheduler, AShortPromptDoesNotWaitForAnothersLongOne) {
  Steps steps(200 * 32, 64);
  const Task* slow = steps.add(text(0, 3000), 5, "slow");
  steps.step();
  const Task* quick = steps.add(text(50000, 100), 5, "quick");
  for (int i = 0; i < 4; ++i) steps.step();
  EXPECT_EQ(quick->result.answer_tokens, 1u);  // half of the rows are its own
  EXPECT_GE(slow->computed(), 64u + 3 * 32u);
}

TEST(Scheduler, OwnersWhoAlwaysWaitAreServedAlike) {
  Steps steps(40 * 32, 64);
  for (int i = 0; i < 300; ++i) steps.add(text(100 * i, 100), 4, "short");
  for (int i = 0; i < 300; ++i) steps.add(text(50000 + 100 * i, 150), 30, "long");
  for (int i = 0; i < 150; ++i) steps.step();
  const double a = steps.scheduler().shares().served("short");
  const double b = steps.scheduler().shares().served("long");
  EXPECT_NEAR(a / b, 1, 0.1);
  EXPECT_GT(steps.rows_of("short"), 1000u);
}

// What is needed never fits: tasks are preempted, nothing is lost, the oldest goes on.
TEST(Scheduler, TheOldestAlwaysFinishes) {
  for (const std::vector<std::uint32_t>& windows :
       {std::vector<std::uint32_t>{0}, {0, 40}, {8}, {1}}) {
    for (const std::string scope : {"", "tenant"}) {
      base::Random random(5);
      Steps steps(9 * 32, 16, windows);
      for (int i = 0; i < 60; ++i)
        steps.add(text(static_cast<Token>(1000 * random.below(4)), 1 + random.below(100)),
                  1 + random.below(150), std::to_string(random.below(3)), scope);
      Task* oldest = nullptr;
      std::size_t computed = 0;
      for (std::size_t count = 0; steps.finished() < 60; ++count) {
        ASSERT_LT(count, 20000u);
        Task* first = nullptr;
        steps.scheduler().each([&](Task& task) {
          if (task.sequence && (first == nullptr || task.number < first->number)) first = &task;
        });
        if (first != nullptr && first == oldest && computed > 0) {
          EXPECT_GT(first->computed(), computed);
        }
        oldest = first;
        computed = first != nullptr ? first->computed() : 0;
        steps.step();
      }
      EXPECT_EQ(steps.scheduler().running() + steps.scheduler().waiting(), 0u);
      if (windows[0] == 0) {
        EXPECT_GT(steps.scheduler().preemptions(), 0u);
      }
      model::PageCounts all = steps.pool().free_pages();
      all += steps.pool().idle_pages();
      EXPECT_EQ(all.total(), steps.pool().capacity().total());
      if (scope.empty()) {
        EXPECT_EQ(steps.pool().idle_pages().total(), 0u);
      }
    }
  }
}

TEST(Scheduler, TheOwnerWhoHoldsMostGivesWay) {
  Steps steps(10 * 32, 64);
  steps.add(text(0, 20), 200, "small");
  steps.add(text(100, 60), 200, "big");
  steps.add(text(200, 60), 200, "big");
  Task* late = steps.add(text(300, 20), 200, "small");
  while (steps.scheduler().preemptions() == 0) ASSERT_TRUE(steps.step());
  EXPECT_NE(late->sequence, nullptr);  // the youngest of all, but not of the owner who holds most
  steps.run_to_the_end();
  EXPECT_EQ(steps.finished(), 4u);
}

TEST(Scheduler, AnotherPromptWaitsForACommonPrefixAndTakesIt) {
  Steps steps(3200, 64);
  auto first = text(0, 600);
  auto second = text(0, 600);
  second[520] = 99999;
  steps.add(first, 5, "a", "tenant");
  steps.add(second, 5, "b", "tenant");
  steps.run_to_the_end();
  EXPECT_EQ(steps.finished(), 2u);
  EXPECT_EQ(steps.scheduler().cached_tokens(), 512u);
  EXPECT_EQ(steps.rows(), 600u + 88u + 8u);
}

TEST(Scheduler, NothingIsSharedBetweenScopesOrWithoutOne) {
  Steps steps(3200, 64);
  for (int i = 0; i < 2; ++i) {
    steps.add(text(0, 600), 5, "a", "one");
    steps.add(text(0, 600), 5, "a", "two");
    steps.add(text(0, 600), 5, "a", "");
    steps.run_to_the_end();
  }
  EXPECT_EQ(steps.scheduler().cached_tokens(), 2u * 576u);  // the second of "one" and of "two"
  EXPECT_EQ(steps.scheduler().prefixes().size(), 2u * 18u);
}

TEST(Scheduler, AChatGoesOnFromItsOwnAnswer) {
  Steps steps(3200, 64);
  steps.add(text(0, 50), 60, "", "tenant");
  steps.run_to_the_end();
  auto next = text(0, 50);
  next.insert(next.end(), 60, 7);
  next.push_back(3);
  const Task* task = steps.add(next, 5, "", "tenant");
  steps.step();
  EXPECT_EQ(task->result.cached_tokens, 96u);
}

TEST(Scheduler, WhatIsCachedHindersNobody) {
  Steps steps(32 * 32, 64);
  for (int i = 0; i < 20; ++i) {
    steps.add(text(2000 * i, 500), 10, "", "tenant");
    steps.run_to_the_end();
  }
  EXPECT_GT(steps.pool().idle_pages().total(), 15u);
  Task* large = steps.add(text(90000, 1000), 24);
  steps.step();
  EXPECT_NE(large->sequence, nullptr);
  steps.run_to_the_end();
  EXPECT_EQ(steps.finished(), 21u);
  EXPECT_EQ(steps.scheduler().preemptions(), 0u);
}

// Admission goes by what a prompt takes, not by the longest answer it may have.
TEST(Scheduler, ManyRunThatMightBecomeLong) {
  Steps steps(64 * 32, 64);
  for (int i = 0; i < 20; ++i) steps.add(text(100 * i, 20), 1900);
  steps.step();
  EXPECT_EQ(steps.scheduler().running(), 20u);
}

TEST(Scheduler, ScoringAPromptSkipsNothing) {
  Steps steps(3200, 64);
  steps.add(text(0, 100), 2, "", "tenant");
  steps.run_to_the_end();
  Task* scoring = steps.add(text(0, 100), 2, "", "tenant");
  scoring->generation.score_prompt = true;
  steps.step();
  EXPECT_EQ(scoring->result.cached_tokens, 0u);
}

}  // namespace
}  // namespace malina::engine
