#include "govern/record_keeper.h"

#include "base/error.h"

namespace malina::govern {

RecordKeeper::RecordKeeper(std::filesystem::path home, std::unique_ptr<store::Database> database,
                           const AuditChain& chain)
    : checkpoints_(home / "audit.checkpoints"),
      signer_(AuditSigner::load(home)),
      clock_(chain.clock()),
      database_(std::move(database)),
      quotas_(*database_, clock_),
      watch_(clock_),
      writer_(*database_),
      audit_(writer_, chain, watch_),
      thread_([this] { run(); }) {}

RecordKeeper::~RecordKeeper() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

RecordingState RecordKeeper::recording() {
  if (std::string cause = writer_.read_only_because(); !cause.empty())
    return {Recording::read_only, std::move(cause)};
  if (watch_.should_ask()) {
    std::exception_ptr failure;
    try {
      writer_.submit([](store::Database& database) { database.rewrite(); }).get();
    } catch (...) {
      failure = std::current_exception();
    }
    watch_.note(failure);
  }
  return watch_.state();
}

void RecordKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kCheckpointPeriod, [this] { return ending_; })) {
    lock.unlock();
    add_checkpoint();
    lock.lock();
  }
  add_checkpoint();  // after what was recorded before: the writer keeps its order
}

void RecordKeeper::add_checkpoint() {
  try {
    writer_
        .submit([this](store::Database& database) {
          govern::add_checkpoint(database, signer_, clock_, checkpoints_);
        })
        .get();
  } catch (const base::Error&) {
    // A full disk: the next one signs the same records. A failed sync has ended the recording, and
    // whoever records hears of it.
  }
}

}  // namespace malina::govern
