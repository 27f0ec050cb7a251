// What running requests add to the audit: through the group commit, with what else must be kept
// together with it.
#pragma once

#include <functional>
#include <future>

#include "govern/audit_chain.h"
#include "govern/recording.h"
#include "store/writer.h"

namespace malina::govern {

// Safe on many threads.
class AuditLog {
 public:
  using Also = std::function<void(store::Database&)>;

  // `watch` hears how each write went; it outlives the writer.
  AuditLog(store::Writer& writer, const AuditChain& chain, RecordingWatch& watch)
      : writer_(writer), chain_(chain), watch_(watch) {}

  // The record, and what `also` writes (nothing if empty), are durable together when `done` is
  // called without an exception (store/writer.h). What cannot be recorded must not happen: then the
  // request is refused.
  void record(AuditEntry entry, store::Writer::Done done, Also also = {}) {
    writer_.submit(work(std::move(entry), std::move(also)),
                   [&watch = watch_, done = std::move(done)](std::exception_ptr failure) {
                     watch.note(failure);
                     done(std::move(failure));
                   });
  }
  std::future<void> record(AuditEntry entry, Also also = {}) {
    return writer_.submit(work(std::move(entry), std::move(also)));
  }

 private:
  store::Writer::Work work(AuditEntry entry, Also also) const {
    return [&chain = chain_, entry = std::move(entry),
            also = std::move(also)](store::Database& database) {
      chain.append(database, entry);
      if (also) also(database);
    };
  }

  store::Writer& writer_;
  const AuditChain& chain_;
  RecordingWatch& watch_;
};

}  // namespace malina::govern
