// Which sequences share the next step, and whose pages they use: admission, fairness between
// owners, sharing of prefixes, preemption.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/draft.h"
#include "engine/fair_shares.h"
#include "engine/prefix_index.h"
#include "engine/step_pace.h"
#include "engine/task.h"
#include "model/kv_cache.h"

namespace malina::engine {

// Owns the tasks that wait and those that run. It knows no model: it moves sequences and pages. One
// thread.
//
// A step: each task that answers has its row, always. The rest is for prompts, as many rows as the
// pace allows, a page at a time to the owner whose prompts had the fewest.
//
// Admission: the owner who was served least is next, its oldest task first; when the pages of its
// prompt do not fit it waits and nobody overtakes it. What will be answered is not reserved:
// answers take page by page. When pages run out, cached prefixes are given up first; then, of the
// owner who holds most, the youngest task is preempted: its pages are released and it waits again,
// to compute its prompt and its answer so far anew (its sampler, its stops and its scores stay, so
// it goes on with the same bits and says nothing twice).
//
// Drafts: a step without prompts verifies guesses of what comes next where that pays. They never
// cost anybody's pages.
//
// Continuations are computed like prompts, from when their own prompt is there: as many segments of
// the trie at once as rows and pages allow. Where that took all pages and they do not suffice, the
// task that is left begins its segments anew, one at a time.
//
// Why it cannot lock up. (1) The oldest task that runs is never preempted and has a row in each
// step. Where it alone is left, all pages are free, cached or its own, and no task is taken that
// could not have all pages that it will ever need: so its rows fit. (2) It stops being the oldest
// only when an older one is admitted, and there are finitely many older than any given one. So
// after finitely many admissions one is the oldest until it ends: something always ends. (3) Where
// nothing runs, all pages are free or cached, and the prompt of whoever is next fits. (4) What is
// served raises its owner's counter, so whoever waits is next after a bounded time.
class Scheduler {
 public:
  // A task's rows in the next step: the positions [sequence length, + rows), and after the last
  // known token guesses of what follows it, with a row each. Where `rows` is 0: those that the
  // task's branches have planned.
  struct Portion {
    Task* task;
    std::size_t rows;
    std::vector<Token> drafts = {};
  };

  // `short_context`: Sizes::short_context. `pages_for(n)`: what a sequence of n positions takes at
  // most. The pool must outlive it.
  Scheduler(model::PagePool& pool, std::size_t max_rows, std::size_t short_context,
            Speculation speculation,
            std::function<model::PageCounts(std::size_t positions)> pages_for);
  ~Scheduler();

  // A task that can run alone: pages_for(prompt + max_tokens) fit in the pool, or those of the
  // prompt with its longest continuation and Branches::least_pages() of each kind.
  void add(std::unique_ptr<Task> task);
  // Removes tasks that are over, and their pages with them.
  void sweep();
  // Tells, of each task that waits or runs.
  void each(const std::function<void(Task&)>& visit);

  // Admits, preempts and chooses. Valid until the next call of anything that is not const. All
  // pages that the portions need are free.
  const std::vector<Portion>& plan(const StepPace& pace);
  // After the portions were computed and the answers' tokens added: charges the owners, remembers
  // full pages of tasks that share.
  void computed();

  std::size_t running() const { return running_.size(); }
  std::size_t waiting() const { return waiting_count_; }
  std::uint64_t preemptions() const { return preemptions_; }
  std::uint64_t cached_tokens() const { return cached_tokens_; }
  std::uint64_t drafted_tokens() const { return drafted_tokens_; }
  std::uint64_t accepted_tokens() const { return accepted_tokens_; }
  const FairShares& shares() const { return shares_; }
  const PrefixIndex& prefixes() const { return prefixes_; }

 private:
  using Queue = std::map<std::uint64_t, std::unique_ptr<Task>>;  // by number

  void admit();
  Queue::iterator next_of(Queue& queue, bool& found);
  bool waits_for_a_prefix(const Task& task);
  bool start(Task& task);
  model::PageCounts rest_of(const Task& task, const model::Sequence& sequence) const;
  std::size_t add_answers();
  void add_prompts(std::size_t rows);
  void add_portions(const std::map<Task*, std::size_t>& rows);
  void add_branches(Task& task, std::size_t rows, std::size_t behind);
  bool narrow_branches();
  void add_drafts(const StepPace& pace);
  void verify(const Portion& portion);
  model::PageCounts pages_of_portions() const;
  void secure_pages();
  Task* oldest() const;
  Task* victim() const;
  void preempt(Task& task);

  model::PagePool& pool_;
  std::size_t max_rows_, short_context_;
  Speculation speculation_;
  std::function<model::PageCounts(std::size_t)> pages_for_;
  PrefixIndex prefixes_;
  FairShares shares_;         // of all who wait or run
  FairShares prompt_shares_;  // rows of prompts, of those who run
  std::map<std::string, Queue> waiting_;
  std::size_t waiting_count_ = 0;
  std::list<std::unique_ptr<Task>> running_;  // in the order of admission
  std::vector<Portion> portions_;
  std::uint64_t next_number_ = 0, preemptions_ = 0, cached_tokens_ = 0;
  std::uint64_t drafted_tokens_ = 0, accepted_tokens_ = 0;
};

}  // namespace malina::engine
