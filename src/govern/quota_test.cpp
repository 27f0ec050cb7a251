#include "govern/quota.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/temporary_directory.h"

namespace malina::govern {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kMillion = 1'000'000;

Principal holder(Limits limits, std::string id = "mk_a") {
  return {.key_id = std::move(id), .limits = limits};
}

TEST(QuotaVerdict, SameFactsSameVerdict) {
  const QuotaFacts facts{.limits = {.requests_per_minute = 60, .tokens_per_minute = 600},
                         .requests_left = 2 * kMillion,
                         .tokens_left = 100 * kMillion,
                         .streams = 0,
                         .tokens_wanted = 40};
  const auto verdict = judge(facts);
  EXPECT_TRUE(verdict.allowed());
  EXPECT_EQ(verdict.requests.limit, 60);
  EXPECT_EQ(verdict.requests.remaining, 1);
  EXPECT_NEAR(static_cast<double>(verdict.requests.reset.count()), 59'000, 2);
  EXPECT_EQ(verdict.tokens.remaining, 60);
  EXPECT_NEAR(static_cast<double>(verdict.tokens.reset.count()), 54'000, 2);
}

TEST(QuotaVerdict, SaysWhichLimitAndWhenToComeBack) {
  const Limits limits{.requests_per_minute = 60, .tokens_per_minute = 600, .concurrent_streams = 2};
  const auto of = [&](std::int64_t requests, std::int64_t tokens, std::int64_t streams,
                      std::int64_t wanted) {
    return judge({limits, requests, tokens, streams, wanted});
  };
  EXPECT_EQ(of(kMillion, 600 * kMillion, 1, 600).refusal, QuotaRefusal::none);
  const auto requests = of(kMillion / 2, 600 * kMillion, 0, 1);
  EXPECT_EQ(requests.refusal, QuotaRefusal::requests);
  EXPECT_NEAR(static_cast<double>(requests.retry_after.count()), 500, 2);
  const auto tokens = of(kMillion, 10 * kMillion, 0, 30);
  EXPECT_EQ(tokens.refusal, QuotaRefusal::tokens);
  EXPECT_NEAR(static_cast<double>(tokens.retry_after.count()), 2000, 2);
  EXPECT_EQ(tokens.tokens.remaining, 10) << "nothing was taken";
  EXPECT_EQ(of(kMillion, 600 * kMillion, 2, 1).refusal, QuotaRefusal::streams);
  const auto large = of(kMillion, 600 * kMillion, 0, 601);
  EXPECT_EQ(large.refusal, QuotaRefusal::too_large);
  EXPECT_EQ(large.retry_after, 0ms) << "there is no use";
  EXPECT_EQ(of(kMillion, -50 * kMillion, 0, 1).tokens.remaining, 0) << "never below";
}

TEST(QuotaVerdict, NoLimitNeverRefuses) {
  const auto verdict = judge({.limits = {},
                              .requests_left = 0,
                              .tokens_left = 0,
                              .streams = 1'000'000,
                              .tokens_wanted = std::int64_t{1} << 62});
  EXPECT_TRUE(verdict.allowed());
  EXPECT_EQ(verdict.requests.limit, 0);
  EXPECT_EQ(verdict.tokens.limit, 0);
}

TEST(Quota, FillsEvenlyAndNeverAboveAMinutesWorth) {
  EXPECT_EQ(refilled(0, 60, 1s), kMillion);
  EXPECT_EQ(refilled(0, 1, 1s), kMillion / 60);
  EXPECT_EQ(refilled(59 * kMillion, 60, 10s), 60 * kMillion);
  EXPECT_EQ(refilled(-60 * kMillion, 60, 90s), 30 * kMillion);
  EXPECT_EQ(refilled(5, 60, -10s), 5) << "time that goes back takes nothing";
  EXPECT_EQ(refilled(0, 1'000'000'000, std::chrono::hours(100'000)), 1'000'000'000 * kMillion);
  EXPECT_EQ(refilled(7, 0, 10s), 7);
}

class QuotaLedgerTest : public testing::Test {
 protected:
  std::unique_ptr<store::Database> open() const {
    return store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  std::unique_ptr<store::Database> database_ = open();
  QuotaLedger ledger_{*database_, clock_};
};

TEST_F(QuotaLedgerTest, RequestsOfAMinuteAreCounted) {
  const auto key = holder({.requests_per_minute = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ledger_.admit(key, 10).hold) << i;
  const auto refused = ledger_.admit(key, 10);
  EXPECT_EQ(refused.verdict.refusal, QuotaRefusal::requests);
  EXPECT_FALSE(refused.hold);
  EXPECT_TRUE(ledger_.admit(holder({.requests_per_minute = 3}, "mk_b"), 10).hold)
      << "another key has its own";
  clock_.advance(refused.verdict.retry_after - 3ms);
  EXPECT_FALSE(ledger_.admit(key, 10).hold);
  clock_.advance(3ms);
  EXPECT_TRUE(ledger_.admit(key, 10).hold) << "who waits as long as told is not too early";
  EXPECT_FALSE(ledger_.admit(key, 10).hold);
}

TEST_F(QuotaLedgerTest, TokensAreHeldAtMostAndSettledByWhatWasUsed) {
  const auto key = holder({.tokens_per_minute = 1000});
  auto first = ledger_.admit(key, 800);
  EXPECT_EQ(first.verdict.tokens.remaining, 200);
  EXPECT_EQ(ledger_.admit(key, 300).verdict.refusal, QuotaRefusal::tokens);
  first.hold->settle(100);
  EXPECT_EQ(ledger_.state(key).tokens.remaining, 900);
  {
    const auto dropped = ledger_.admit(key, 500);
    EXPECT_EQ(ledger_.state(key).tokens.remaining, 400);
  }
  EXPECT_EQ(ledger_.state(key).tokens.remaining, 900) << "what never ran used nothing";
  auto more = ledger_.admit(key, 100);
  more.hold->settle(1000);  // longer than it was said to be at most
  EXPECT_EQ(ledger_.state(key).tokens.remaining, 0);
  EXPECT_FALSE(ledger_.admit(key, 1).hold);
  clock_.advance(60s);
  EXPECT_EQ(ledger_.state(key).tokens.remaining, 900);
}

TEST_F(QuotaLedgerTest, StreamsAreCountedWhileTheyRun) {
  const auto key = holder({.concurrent_streams = 2});
  auto first = ledger_.admit(key, 1);
  {
    auto second = ledger_.admit(key, 1);
    EXPECT_EQ(ledger_.streams("mk_a"), 2);
    EXPECT_EQ(ledger_.admit(key, 1).verdict.refusal, QuotaRefusal::streams);
    auto moved = std::move(*second.hold);
    EXPECT_EQ(ledger_.streams("mk_a"), 2);
  }
  EXPECT_EQ(ledger_.streams("mk_a"), 1);
  EXPECT_TRUE(ledger_.admit(key, 1).hold);
  first.hold->settle(1);
  first.hold.reset();
  EXPECT_EQ(ledger_.streams("mk_a"), 0) << "given back once";
}

TEST_F(QuotaLedgerTest, RestartGivesNobodyAFreshQuota) {
  const auto key = holder({.requests_per_minute = 60, .tokens_per_minute = 6000});
  for (int i = 0; i < 60; ++i) ledger_.admit(key, 100).hold->settle(100);
  database_->transaction([&] { ledger_.write(*database_, key.key_id); });
  const auto other = open();
  QuotaLedger restarted(*other, clock_);
  EXPECT_EQ(restarted.admit(key, 1).verdict.refusal, QuotaRefusal::requests);
  clock_.advance(10s);
  QuotaLedger later(*other, clock_);
  EXPECT_EQ(later.state(key).requests.remaining, 10) << "the time between counts";
  EXPECT_EQ(later.state(key).tokens.remaining, 1000);
  clock_.set_wall(clock_.wall() - 24h);
  QuotaLedger set_back(*other, clock_);
  EXPECT_EQ(set_back.state(key).requests.remaining, 0) << "a clock set back fills nothing";
  clock_.set_wall(clock_.wall() + 48h);
  QuotaLedger set_forward(*other, clock_);
  EXPECT_EQ(set_forward.state(key).requests.remaining, 60) << "a minute's worth, and no more";
}

TEST_F(QuotaLedgerTest, ClockOfTheCalendarPlaysNoPartWhileItRuns) {
  const auto key = holder({.requests_per_minute = 1});
  EXPECT_TRUE(ledger_.admit(key, 0).hold);
  clock_.set_wall(clock_.wall() + 24h * 365);
  EXPECT_FALSE(ledger_.admit(key, 0).hold);
}

// At any order of requests and ends: never more in a window than two minutes' worth, and all
// streams come back.
TEST_F(QuotaLedgerTest, RandomRequestsKeepTheirLimits) {
  const auto key =
      holder({.requests_per_minute = 100, .tokens_per_minute = 5000, .concurrent_streams = 5});
  base::Random random(3);
  std::vector<QuotaLedger::Hold> running;
  std::int64_t admitted = 0, used = 0, seconds = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (random.below(2) == 0) {
      auto admission = ledger_.admit(key, static_cast<std::int64_t>(random.below(200)));
      if (admission.hold) {
        running.push_back(std::move(*admission.hold));
        ++admitted;
      }
    } else if (!running.empty()) {
      const auto tokens = static_cast<std::int64_t>(random.below(50));
      running.back().settle(tokens);
      running.pop_back();
      used += tokens;
    }
    ASSERT_LE(running.size(), 5U);
    ASSERT_EQ(ledger_.streams("mk_a"), static_cast<std::int64_t>(running.size()));
    if (i % 100 == 0) {
      clock_.advance(1s);
      ++seconds;
    }
  }
  EXPECT_LE(admitted, 100 + seconds * 100 / 60 + 1);
  EXPECT_GE(admitted, seconds * 100 / 60 / 2);
  EXPECT_LE(used, 5000 + seconds * 5000 / 60 + 200);
  running.clear();
  EXPECT_EQ(ledger_.streams("mk_a"), 0);
}

}  // namespace
}  // namespace malina::govern
