#include "engine/draft.h"

#include <gtest/gtest.h>

namespace malina::engine {
namespace {

TEST(LookUp, ProposesWhatFollowedTheSameTokens) {
  const std::vector<Token> tokens{1, 2, 3, 4, 5, 6, 7, 9, 1, 2, 3};
  EXPECT_EQ(look_up(tokens, 4), (std::vector<Token>{4, 5, 6, 7}));
  EXPECT_EQ(look_up(tokens, 1), (std::vector<Token>{4}));
}

TEST(LookUp, ProposesNothingWithoutAMatch) {
  EXPECT_TRUE(look_up(std::vector<Token>{}, 4).empty());
  EXPECT_TRUE(look_up(std::vector<Token>{1}, 4).empty());
  EXPECT_TRUE(look_up(std::vector<Token>{1, 2, 3, 4, 5}, 4).empty());
  EXPECT_TRUE(look_up(std::vector<Token>{1, 7, 2, 1}, 4).empty());  // one token says little
}

TEST(LookUp, PrefersTheLongerMatchThenTheLater) {
  EXPECT_EQ(look_up(std::vector<Token>{7, 1, 2, 3, 4, 50, 3, 4, 60, 1, 2, 3, 4}, 1),
            (std::vector<Token>{50}));
  EXPECT_EQ(look_up(std::vector<Token>{3, 4, 50, 8, 3, 4, 60, 9, 3, 4}, 1),
            (std::vector<Token>{60}));
}

TEST(LookUp, GoesOnInALoop) {
  EXPECT_EQ(look_up(std::vector<Token>{9, 1, 2, 1, 2, 1, 2}, 5),
            (std::vector<Token>{1, 2, 1, 2, 1}));
  EXPECT_EQ(look_up(std::vector<Token>{5, 5, 5, 5}, 3), (std::vector<Token>{5, 5, 5}));
}

// A machine on which each further row costs a fifth of the first.
StepPace pace() {
  StepPace result(std::chrono::milliseconds(100));
  for (std::size_t rows = 1; rows <= 16; ++rows)
    result.measured(rows, 0, std::chrono::microseconds(800 + 200 * rows));
  return result;
}

TEST(DraftLength, GrowsWhileGuessesAreRight) {
  DraftLength drafts;
  for (int i = 0; i < 30; ++i) drafts.verified(4, 4);
  EXPECT_GT(drafts.rate(), 0.95);
  EXPECT_EQ(drafts.choose(pace(), 1, 1), kMostDrafts);
}

TEST(DraftLength, IsOffWhenGuessesAreWrongButTriesAgain) {
  DraftLength drafts;
  for (int i = 0; i < 30; ++i) drafts.verified(4, 0);
  EXPECT_LT(drafts.rate(), 0.05);
  std::size_t attempts = 0;
  for (int i = 0; i < 480; ++i) attempts += drafts.choose(pace(), 1, 1) > 0 ? 1 : 0;
  EXPECT_EQ(attempts, 10u);
}

TEST(DraftLength, IsOffWhereRowsCostWhatTheyGive) {
  DraftLength drafts;
  StepPace linear(std::chrono::milliseconds(100));
  for (std::size_t rows = 1; rows <= 16; ++rows)
    linear.measured(rows, 0, std::chrono::milliseconds(rows));
  for (int i = 0; i < 20; ++i) drafts.verified(4, 3);
  EXPECT_EQ(drafts.choose(linear, 1, 1), 0u);
  EXPECT_EQ(drafts.choose(pace(), 16, 16), 0u);  // a large batch
}

TEST(DraftLength, GuessesNothingBeforeAnythingWasMeasured) {
  DraftLength drafts;
  EXPECT_EQ(drafts.choose(StepPace(std::chrono::milliseconds(100)), 1, 1), 0u);
}

}  // namespace
}  // namespace malina::engine
