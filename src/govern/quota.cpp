#include "govern/quota.h"

#include <algorithm>
#include <utility>

namespace malina::govern {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::int64_t kMillion = 1'000'000;
constexpr std::int64_t kMinute = 60;

// Until `missing` millionths have come; rounded up, so that who waits so long is not too early.
milliseconds time_for(std::int64_t missing, std::int64_t per_minute) {
  if (missing <= 0 || per_minute <= 0) return milliseconds(0);
  // missing / (per_minute * 1e6 / 60'000 ms)
  const double exact = static_cast<double>(missing) * 0.06 / static_cast<double>(per_minute);
  return milliseconds(static_cast<std::int64_t>(exact) + 1);
}

// No model has a context of a million million tokens, and millionths of that fit.
std::int64_t bounded(std::int64_t tokens) {
  return std::clamp<std::int64_t>(tokens, 0, 1'000'000'000'000);
}

QuotaWindow window(std::int64_t limit, std::int64_t left) {
  if (limit == 0) return {};
  return {.limit = limit,
          .remaining = std::max<std::int64_t>(left / kMillion, 0),
          .reset = time_for(limit * kMillion - left, limit)};
}

std::int64_t to_microseconds(base::Clock::Wall time) {
  return std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
}

}  // namespace

std::string_view name(QuotaRefusal refusal) {
  switch (refusal) {
    case QuotaRefusal::none:
      return "none";
    case QuotaRefusal::requests:
      return "requests";
    case QuotaRefusal::tokens:
      return "tokens";
    case QuotaRefusal::streams:
      return "streams";
    case QuotaRefusal::too_large:
      return "too_large";
  }
  return "";
}

std::int64_t refilled(std::int64_t left, std::int64_t per_minute, microseconds elapsed) {
  // Enough for any debt that one request can leave, and no overflow at the largest rate.
  constexpr microseconds kMost = std::chrono::hours(1);
  if (per_minute <= 0 || elapsed.count() <= 0) return left;
  const std::int64_t more = std::min(elapsed, kMost).count() * per_minute / kMinute;
  return std::min(left + more, per_minute * kMillion);
}

QuotaVerdict judge(const QuotaFacts& facts) {
  const Limits& limits = facts.limits;
  const std::int64_t wanted = bounded(facts.tokens_wanted) * kMillion;
  const bool counts_requests = limits.requests_per_minute > 0;
  const bool counts_tokens = limits.tokens_per_minute > 0;
  QuotaVerdict verdict;
  if (counts_tokens && facts.tokens_wanted > limits.tokens_per_minute) {
    verdict.refusal = QuotaRefusal::too_large;
  } else if (counts_requests && facts.requests_left < kMillion) {
    verdict.refusal = QuotaRefusal::requests;
    verdict.retry_after = time_for(kMillion - facts.requests_left, limits.requests_per_minute);
  } else if (counts_tokens && facts.tokens_left < wanted) {
    verdict.refusal = QuotaRefusal::tokens;
    verdict.retry_after = time_for(wanted - facts.tokens_left, limits.tokens_per_minute);
  } else if (limits.concurrent_streams > 0 && facts.streams >= limits.concurrent_streams) {
    verdict.refusal = QuotaRefusal::streams;
    verdict.retry_after = std::chrono::seconds(1);  // nobody knows when one ends
  }
  const std::int64_t taken = verdict.allowed() ? 1 : 0;
  verdict.requests = window(limits.requests_per_minute, facts.requests_left - taken * kMillion);
  verdict.tokens = window(limits.tokens_per_minute, facts.tokens_left - taken * wanted);
  return verdict;
}

QuotaLedger::Hold::Hold(Hold&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)),
      key_id_(std::move(other.key_id_)),
      tokens_(other.tokens_) {}

QuotaLedger::Hold::~Hold() { settle(0); }

void QuotaLedger::Hold::settle(std::int64_t tokens_used) {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->settle(key_id_, tokens_, tokens_used);
}

QuotaLedger::QuotaLedger(store::Database& database, const base::Clock& clock) : clock_(clock) {
  constexpr microseconds kLongAgo = std::chrono::hours(1);
  const std::int64_t now = to_microseconds(clock.wall());
  for (const store::Row& row :
       database.query("SELECT key_id, requests_left, tokens_left, updated_us FROM quotas")) {
    const microseconds elapsed(std::clamp<std::int64_t>(now - row.integer(3), 0, kLongAgo.count()));
    accounts_[row.text(0)] = {.limits = {},
                              .requests_left = row.integer(1),
                              .tokens_left = row.integer(2),
                              .streams = 0,
                              .at = clock.monotonic() - elapsed};
  }
}

void QuotaLedger::refill(Account& account) const {
  const auto now = clock_.monotonic();
  const auto elapsed = std::chrono::duration_cast<microseconds>(now - account.at);
  const Limits& limits = account.limits;
  account.requests_left = refilled(account.requests_left, limits.requests_per_minute, elapsed);
  account.tokens_left = refilled(account.tokens_left, limits.tokens_per_minute, elapsed);
  account.at += elapsed;  // what is less than a microsecond counts the next time
}

QuotaLedger::Account& QuotaLedger::account(const Principal& principal) {
  const auto [found, is_new] = accounts_.try_emplace(principal.key_id);
  Account& account = found->second;
  if (is_new) {
    account.requests_left = principal.limits.requests_per_minute * kMillion;
    account.tokens_left = principal.limits.tokens_per_minute * kMillion;
    account.at = clock_.monotonic();
  }
  account.limits = principal.limits;
  refill(account);
  return account;
}

QuotaLedger::Admission QuotaLedger::admit(const Principal& principal, std::int64_t tokens) {
  tokens = bounded(tokens);
  const std::scoped_lock lock(mutex_);
  Account& account = this->account(principal);
  const QuotaVerdict verdict = judge({.limits = principal.limits,
                                      .requests_left = account.requests_left,
                                      .tokens_left = account.tokens_left,
                                      .streams = account.streams,
                                      .tokens_wanted = tokens});
  if (!verdict.allowed()) return {verdict, std::nullopt};
  if (principal.limits.requests_per_minute > 0) account.requests_left -= kMillion;
  if (principal.limits.tokens_per_minute > 0) account.tokens_left -= tokens * kMillion;
  ++account.streams;
  return {verdict, Hold(*this, principal.key_id, tokens)};
}

QuotaVerdict QuotaLedger::state(const Principal& principal) {
  const std::scoped_lock lock(mutex_);
  const Account& account = this->account(principal);
  return {.refusal = QuotaRefusal::none,
          .retry_after = {},
          .requests = window(principal.limits.requests_per_minute, account.requests_left),
          .tokens = window(principal.limits.tokens_per_minute, account.tokens_left)};
}

void QuotaLedger::settle(const std::string& key_id, std::int64_t held, std::int64_t used) {
  const std::scoped_lock lock(mutex_);
  Account& account = accounts_.at(key_id);
  --account.streams;
  if (account.limits.tokens_per_minute == 0) return;
  refill(account);
  account.tokens_left = std::min(account.tokens_left + (held - bounded(used)) * kMillion,
                                 account.limits.tokens_per_minute * kMillion);
}

std::int64_t QuotaLedger::streams(std::string_view key_id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(std::string(key_id));
  return found == accounts_.end() ? 0 : found->second.streams;
}

void QuotaLedger::write(store::Database& database, const std::string& key_id) const {
  Account account;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = accounts_.find(key_id);
    if (found == accounts_.end()) return;
    account = found->second;
    refill(account);
  }
  database.execute(
      "INSERT INTO quotas (key_id, requests_left, tokens_left, updated_us) VALUES (?1, ?2, ?3, ?4) "
      "ON CONFLICT (key_id) DO UPDATE SET requests_left = excluded.requests_left, "
      "tokens_left = excluded.tokens_left, updated_us = excluded.updated_us",
      {key_id, account.requests_left, account.tokens_left, to_microseconds(clock_.wall())});
}

}  // namespace malina::govern
