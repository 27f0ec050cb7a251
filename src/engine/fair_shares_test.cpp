#include "engine/fair_shares.h"

#include <gtest/gtest.h>

namespace malina::engine {
namespace {

TEST(FairShares, WhoComesLaterBeginsAtTheLeastCounterOfThoseHere) {
  FairShares shares;
  shares.enter("a");
  shares.charge("a", 100);
  shares.enter("b");
  EXPECT_EQ(shares.served("b"), 100);
  shares.charge("b", 20);
  shares.enter("c");
  EXPECT_EQ(shares.served("c"), 100);
}

TEST(FairShares, ADebtOutlastsAPause) {
  FairShares shares;
  shares.enter("a");
  shares.enter("b");
  shares.charge("a", 100);
  shares.charge("b", 30);
  shares.leave("a");
  shares.enter("a");
  EXPECT_EQ(shares.served("a"), 100);
}

TEST(FairShares, IdlenessSavesNothingUp) {
  FairShares shares;
  shares.enter("a");
  shares.enter("b");
  shares.leave("b");
  shares.charge("a", 1000);
  shares.enter("b");
  EXPECT_EQ(shares.served("b"), 1000);
}

TEST(FairShares, ForgetsOwnersWhoAreGone) {
  FairShares shares;
  shares.enter("here");
  for (int i = 0; i < 1000; ++i) {
    const std::string owner = "owner " + std::to_string(i);
    shares.enter(owner);
    shares.charge(owner, i);
    shares.leave(owner);
  }
  shares.charge("here", 1000);
  shares.enter("last");
  shares.leave("last");
  EXPECT_EQ(shares.size(), 1u);
  shares.leave("here");
  EXPECT_EQ(shares.size(), 0u);
}

TEST(FairShares, OneOwnerMayHaveManyGenerations) {
  FairShares shares;
  shares.enter("a");
  shares.charge("a", 5);
  shares.enter("a");
  shares.leave("a");
  EXPECT_EQ(shares.served("a"), 5);
}

}  // namespace
}  // namespace malina::engine
