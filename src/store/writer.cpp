#include "store/writer.h"

#include <algorithm>
#include <memory>
#include <new>
#include <optional>

#include "base/error.h"

namespace malina::store {

namespace {

// What went wrong, as a value. An exception that two threads hold is freed by the last of them,
// under a count inside of the C++ library, which the thread sanitizer cannot see; and several
// pieces of work may fail by one.
struct Failure {
  base::Fault fault;
  std::string message;
  std::optional<StorageError::Kind> storage;
};

Failure current_failure() {
  try {
    throw;
  } catch (const StorageError& error) {
    return {error.fault(), error.what(), error.kind()};
  } catch (const base::Error& error) {
    return {error.fault(), error.what(), std::nullopt};
  } catch (const std::bad_alloc&) {
    return {base::Fault::out_of_memory, "not enough memory", std::nullopt};
  } catch (const std::exception& error) {
    return {base::Fault::internal, error.what(), std::nullopt};
  } catch (...) {
    return {base::Fault::internal, "work threw what is no exception", std::nullopt};
  }
}

std::exception_ptr exception_of(const std::optional<Failure>& failure) {
  if (!failure) return nullptr;
  if (failure->storage)
    return std::make_exception_ptr(StorageError(*failure->storage, failure->message));
  return std::make_exception_ptr(base::Error(failure->fault, failure->message));
}

}  // namespace

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
  auto promise = std::make_shared<std::promise<std::optional<Failure>>>();
  auto future = promise->get_future();
  submit(std::move(work), [promise](std::exception_ptr thrown) {
    std::optional<Failure> failure;
    try {
      if (thrown) std::rethrow_exception(std::move(thrown));
    } catch (...) {
      failure = current_failure();
    }
    promise->set_value(std::move(failure));
  });
  return std::async(std::launch::deferred, [future = std::move(future)]() mutable {
    if (auto failure = exception_of(future.get())) std::rethrow_exception(std::move(failure));
  });
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
  std::vector<std::optional<Failure>> failures(jobs.size());
  try {
    database_.transaction([&] {
      for (std::size_t i = 0; i < jobs.size(); ++i) {
        try {
          database_.nested([&] { jobs[i].work(database_); });
        } catch (...) {
          failures[i] = current_failure();
        }
      }
    });
  } catch (...) {  // then nothing of it was done
    for (std::optional<Failure>& failure : failures)
      if (!failure) failure = current_failure();
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].work = nullptr;  // what it holds goes before anyone hears of its end
    jobs[i].done(exception_of(failures[i]));
  }
}

}  // namespace malina::store
