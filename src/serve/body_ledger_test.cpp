#include "serve/body_ledger.h"

#include <gtest/gtest.h>

#include <limits>

namespace malina::serve {
namespace {

TEST(BodyLedger, NeverHoldsMoreThanItMay) {
  BodyLedger ledger(100);
  BodyLedger::Share first(ledger);
  EXPECT_TRUE(first.set(60));
  {
    BodyLedger::Share second(ledger);
    EXPECT_TRUE(second.set(40));
    EXPECT_FALSE(second.set(41));
    EXPECT_EQ(second.bytes(), 40U) << "as it was";
    EXPECT_FALSE(first.set(std::numeric_limits<std::uint64_t>::max()));
    EXPECT_EQ(ledger.used(), 100U);
    EXPECT_TRUE(first.set(50));
    EXPECT_TRUE(second.set(50));
  }
  EXPECT_EQ(ledger.used(), 50U);
  EXPECT_TRUE(first.set(100));
  EXPECT_TRUE(first.set(0));
  EXPECT_EQ(ledger.used(), 0U);
}

}  // namespace
}  // namespace malina::serve
