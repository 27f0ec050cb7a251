// How much a key may ask for: requests and tokens a minute, requests at the same time.
//
// Each rate is a token bucket: it holds one minute's worth, is full at first, and fills evenly. A
// request takes one from the first bucket and what it may need at most from the second; at its end
// the second gets back what was not used. Amounts are kept in millionths, so that even the slowest
// rate fills without loss.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "govern/principal.h"
#include "store/database.h"

namespace malina::govern {

struct QuotaFacts {
  Limits limits = {};
  std::int64_t requests_left = 0;  // millionths, now
  std::int64_t tokens_left = 0;    // millionths, now; below zero where more was used than held
  std::int64_t streams = 0;        // that run
  std::int64_t tokens_wanted = 0;  // at most: prompt and longest answer
};

enum class QuotaRefusal {
  none,
  requests,   // too many a minute
  tokens,     // too many a minute
  streams,    // too many at the same time
  too_large,  // more tokens than the limit of a minute: never admitted
};
std::string_view name(QuotaRefusal refusal);

// For x-ratelimit-{limit,remaining,reset}-{requests,tokens}.
struct QuotaWindow {
  std::int64_t limit = 0;  // 0: there is none, and the others mean nothing
  std::int64_t remaining = 0;
  std::chrono::milliseconds reset{0};  // until all of it is there again
};

struct QuotaVerdict {
  QuotaRefusal refusal = QuotaRefusal::none;
  std::chrono::milliseconds retry_after{0};  // 0 for too_large: there is no use
  QuotaWindow requests = {}, tokens = {};    // after this request, where it is admitted
  bool allowed() const { return refusal == QuotaRefusal::none; }
};

// A pure function: the same facts, the same verdict.
QuotaVerdict judge(const QuotaFacts& facts);

// What `left` has grown to after `elapsed`: never above one minute's worth of `per_minute`.
std::int64_t refilled(std::int64_t left, std::int64_t per_minute,
                      std::chrono::microseconds elapsed);

// The buckets of all keys. Safe on many threads. One process at a time serves a store: another's
// requests are not counted here.
class QuotaLedger {
 public:
  // What an admitted request holds. Given back by settle(), or with nothing used by the destructor.
  // Movable; outlived by the ledger.
  class Hold {
   public:
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold();
    // The request has ended, with so many tokens of prompt and answer. Once.
    void settle(std::int64_t tokens_used);
    const std::string& key_id() const { return key_id_; }

   private:
    friend class QuotaLedger;
    Hold(QuotaLedger& ledger, std::string key_id, std::int64_t tokens)
        : ledger_(&ledger), key_id_(std::move(key_id)), tokens_(tokens) {}

    QuotaLedger* ledger_;  // null: settled, or moved from
    std::string key_id_;
    std::int64_t tokens_;
  };

  struct Admission {
    QuotaVerdict verdict;
    std::optional<Hold> hold;  // where it is allowed
  };

  // Reads what was left when it was last written; the clock that was set back meanwhile fills
  // nothing.
  QuotaLedger(store::Database& database, const base::Clock& clock);

  // `tokens`: prompt and longest answer together; settled at the end.
  Admission admit(const Principal& principal, std::int64_t tokens);
  QuotaVerdict state(const Principal& principal);  // as it stands, taking nothing
  std::int64_t streams(std::string_view key_id) const;

  // Keeps the key's state. In a transaction, together with the record of what changed it.
  void write(store::Database& database, const std::string& key_id) const;

 private:
  struct Account {
    Limits limits;  // as they were last known
    std::int64_t requests_left = 0, tokens_left = 0;
    std::int64_t streams = 0;
    base::Clock::Monotonic at{};
  };

  Account& account(const Principal& principal);
  void refill(Account& account) const;
  void settle(const std::string& key_id, std::int64_t held, std::int64_t used);

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Account> accounts_;
};

}  // namespace malina::govern
