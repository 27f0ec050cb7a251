#include "store/writer.h"

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace malina::store {

Writer::Writer(Database& database, Options options)
    : database_(database), options_(options), thread_([this] { run(); }) {}

Writer::~Writer() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  submitted_.notify_one();
  thread_.join();
}

void Writer::submit(Work work, Done done) {
  {
    const std::scoped_lock lock(mutex_);
    if (jobs_.size() < options_.most_waiting) {
      jobs_.push_back({std::move(work), std::move(done)});
      submitted_.notify_one();
      return;
    }
  }
  done(std::make_exception_ptr(
      base::Error(base::Fault::overloaded, "too many records wait for the disk")));
}

std::future<void> Writer::submit(Work work) {
  auto promise = std::make_shared<std::promise<void>>();
  auto future = promise->get_future();
  submit(std::move(work), [promise](std::exception_ptr failure) {
    if (failure)
      promise->set_exception(failure);
    else
      promise->set_value();
  });
  return future;
}

std::size_t Writer::waiting() const {
  const std::scoped_lock lock(mutex_);
  return jobs_.size();
}

void Writer::run() {
  for (;;) {
    std::vector<Job> jobs;
    {
      std::unique_lock lock(mutex_);
      submitted_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      // All that came while the last transaction was written.
      const std::size_t count = std::min(jobs_.size(), options_.most_together);
      for (std::size_t i = 0; i < count; ++i) {
        jobs.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
      }
    }
    commit(jobs);
  }
}

void Writer::commit(std::vector<Job>& jobs) {
  std::vector<std::exception_ptr> failures(jobs.size());
  try {
    database_.transaction([&] {
      for (std::size_t i = 0; i < jobs.size(); ++i) {
        try {
          database_.nested([&] { jobs[i].work(database_); });
        } catch (...) {
          failures[i] = std::current_exception();
        }
      }
    });
  } catch (...) {  // then nothing of it was done
    for (std::exception_ptr& failure : failures)
      if (!failure) failure = std::current_exception();
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].work = nullptr;  // what it holds goes before anyone hears of its end
    jobs[i].done(failures[i]);
  }
}

}  // namespace malina::store
