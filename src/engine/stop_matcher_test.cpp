#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

namespace malina::engine {
namespace {

TEST(StopMatcher, MatchesAcrossPiecesAndReturnsNothingOfTheStop) {
  StopMatcher matcher({"\n\nUser:"});
  EXPECT_EQ(matcher.push("Hello\n"), "Hello");
  EXPECT_EQ(matcher.push("\nUs"), "");
  EXPECT_EQ(matcher.push("er: more"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("even more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, LetsGoOfWhatTurnsOutOtherwise) {
  StopMatcher matcher({"abcabd"});
  EXPECT_EQ(matcher.push("abc"), "");
  EXPECT_EQ(matcher.push("abc"), "abc");  // "abc" may still begin the stop
  EXPECT_EQ(matcher.push("x"), "abcx");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, TakesTheEarliestOfSeveral) {
  StopMatcher matcher({"world", "lo w"});
  EXPECT_EQ(matcher.push("hello world"), "hel");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, GivesBackWhatItHeldAtTheEnd) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("The EN"), "The ");
  EXPECT_EQ(matcher.finish(), "EN");
}

TEST(StopMatcher, EverySplitGivesTheSameText) {
  const std::string text = "aabaabaaab";
  for (std::size_t first = 0; first <= text.size(); ++first)
    for (std::size_t second = first; second <= text.size(); ++second) {
      StopMatcher matcher({"aaab", "zz"});
      std::string shown = matcher.push(text.substr(0, first));
      shown += matcher.push(text.substr(first, second - first));
      shown += matcher.push(text.substr(second));
      EXPECT_EQ(shown + matcher.finish(), "aabaab");
      EXPECT_TRUE(matcher.matched());
    }
}

}  // namespace
}  // namespace malina::engine
