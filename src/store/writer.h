// Group commit: the changes that many threads ask for at about the same time share one transaction,
// and so one sync of the disk.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/database.h"

namespace malina::store {

// Safe on many threads; has one of its own. What is submitted is done in that order. A piece of
// work that throws is undone alone; the others of its transaction are not hindered.
//
// Work fails with base::Error(io) while the disk is full, and what comes later is tried anew. After
// a sync that failed nothing is tried any more (Database::read_only_because()).
class Writer {
 public:
  using Work = std::function<void(Database&)>;
  // Nothing where the work is done and durable; otherwise why it is not: a base::Error of its own,
  // which no other thread holds. Called once, by the
  // writer's thread, or by the caller's own where the work is refused at once. It must neither
  // throw nor take long.
  using Done = std::function<void(std::exception_ptr)>;

  struct Options {
    std::size_t most_waiting = 4096;  // more are refused: overloaded
    std::size_t most_together = 512;  // in one transaction
  };

  // `database` outlives this, and nobody else writes through it.
  explicit Writer(Database& database) : Writer(database, Options{}) {}
  Writer(Database& database, Options options);
  ~Writer();  // what was submitted is still done
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void submit(Work work, Done done);
  // get() throws why it is not done; the future is a deferred one, which has no timed waits.
  std::future<void> submit(Work work);

  std::string read_only_because() const { return database_.read_only_because(); }
  bool read_only() const { return !read_only_because().empty(); }
  std::size_t waiting() const;  // jobs that are not begun

 private:
  struct Job {
    Work work;
    Done done;
  };

  void run();
  void commit(std::vector<Job>& jobs);

  Database& database_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable submitted_;
  std::deque<Job> jobs_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace malina::store
