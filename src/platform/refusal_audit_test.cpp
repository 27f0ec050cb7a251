#include "platform/refusal_audit.h"

#include <gtest/gtest.h>

#include <vector>

namespace malina::platform {
namespace {

class RefusalAuditTest : public testing::Test {
 protected:
  void refuse(const std::string& source, int status = 401, const std::string& key = "") {
    audit_.note({.actor = {key, ""},
                 .source = source,
                 .action = "/v1/models",
                 .request_id = "req_" + source,
                 .status = status});
  }
  std::int64_t counted() const {
    std::int64_t sum = 0;
    for (const auto& entry : entries_) sum += entry.count;
    return sum;
  }

  base::ManualClock clock_;
  std::vector<govern::AuditEntry> entries_;
  RefusalAudit audit_{clock_, [this](govern::AuditEntry entry) { entries_.push_back(entry); }};
};

TEST_F(RefusalAuditTest, TheFirstIsRecordedAtOnceAndTheOthersByTheirNumber) {
  for (int i = 0; i < 1000; ++i) refuse("192.0.2.1");
  ASSERT_EQ(entries_.size(), 1U);
  EXPECT_EQ(entries_[0].subject, "192.0.2.1");
  EXPECT_EQ(entries_[0].outcome, "refused");
  EXPECT_EQ(entries_[0].status, 401);
  EXPECT_EQ(entries_[0].count, 1);
  EXPECT_EQ(entries_[0].request, "req_192.0.2.1");
  clock_.advance(RefusalAudit::kPeriod);
  audit_.flush();
  ASSERT_EQ(entries_.size(), 2U);
  EXPECT_EQ(entries_[1].count, 999);
  EXPECT_EQ(entries_[1].request, "");
  clock_.advance(RefusalAudit::kPeriod);
  audit_.flush();
  EXPECT_EQ(entries_.size(), 2U) << "nothing came";
  refuse("192.0.2.1");
  EXPECT_EQ(entries_.size(), 3U) << "the first of another minute";
}

TEST_F(RefusalAuditTest, KeysSourcesAndStatusesAreToldApart) {
  refuse("192.0.2.1");
  refuse("192.0.2.2");
  refuse("192.0.2.2", 403);
  refuse("192.0.2.2", 429, "mk_a");
  refuse("192.0.2.2", 429, "mk_b");
  EXPECT_EQ(entries_.size(), 5U);
  EXPECT_EQ(entries_.back().actor.id, "mk_b");
}

TEST_F(RefusalAuditTest, AnArmyOfSourcesCannotFillTheDiskAndNoneIsLost) {
  constexpr int kTries = 10'000;
  for (int i = 0; i < kTries; ++i) refuse("2001:db8::" + std::to_string(i));
  EXPECT_EQ(entries_.size(), RefusalAudit::kMostAMinute);
  clock_.advance(RefusalAudit::kPeriod);
  audit_.flush();
  EXPECT_EQ(entries_.size(), RefusalAudit::kMostAMinute + 1);
  EXPECT_EQ(entries_.back().subject, "others");
  EXPECT_EQ(counted(), kTries);
}

TEST(RefusalAudit, WhatWasCountedIsRecordedAtTheEnd) {
  base::ManualClock clock;
  std::int64_t counted = 0;
  {
    RefusalAudit audit(clock, [&](const govern::AuditEntry& entry) { counted += entry.count; });
    for (int i = 0; i < 7; ++i)
      audit.note({.actor = {}, .source = "a", .action = "b", .request_id = "c", .status = 403});
    EXPECT_EQ(counted, 1);
  }
  EXPECT_EQ(counted, 7);
}

}  // namespace
}  // namespace malina::platform
