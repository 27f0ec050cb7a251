// What the audit keeps of requests that were refused: enough to see who tries, and not so much that
// whoever tries can fill the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "govern/audit_chain.h"

namespace malina::platform {

struct Refusal {
  govern::Actor actor = {};     // of a key that is valid; empty otherwise
  std::string source = {};      // the address that it came from
  std::string action = {};      // what was asked for
  std::string request_id = {};  // the answer's x-request-id
  int status = 0;               // of HTTP: 401, 403, 429
};

// Of each source, key and status the first refusal is recorded at once. Those of the minute after
// it are counted, and become one record at its end. New ones beyond kMostAMinute are counted
// together, whatever their source. So there are at most 2 * kMostAMinute records a minute and one
// for each status. Safe on many threads.
class RefusalAudit {
 public:
  static constexpr std::size_t kMostAMinute = 30;
  static constexpr std::chrono::seconds kPeriod{60};
  // Takes a record. Called under a lock: it must not block, nor call this.
  using Sink = std::function<void(govern::AuditEntry)>;

  RefusalAudit(const base::Clock& clock, Sink sink) : clock_(clock), sink_(std::move(sink)) {}
  ~RefusalAudit();  // records what was counted

  void note(const Refusal& refusal);
  // Records what was counted in minutes that are over; to be called now and then.
  void flush();

 private:
  using Key = std::tuple<std::string, std::string, int>;  // key, source, status
  struct Counted {
    Refusal first;
    std::int64_t more = 0;
    base::Clock::Monotonic began;
  };

  void flush_locked(bool all);
  void record(const Refusal& refusal, std::int64_t count);

  const base::Clock& clock_;
  const Sink sink_;
  std::mutex mutex_;
  std::map<Key, Counted> counted_;
  std::map<int, Counted> others_;  // by status
};

}  // namespace malina::platform
