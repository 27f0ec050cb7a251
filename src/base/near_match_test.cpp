#include "base/near_match.h"

#include <gtest/gtest.h>

namespace malina::base {
namespace {

const std::vector<std::string> kKnown{"import", "inspect", "info", "list", "smollm2-135m-instruct"};

TEST(NearMatch, FindsTheMistypedWord) {
  EXPECT_EQ(near_matches("imprt", kKnown), std::vector<std::string>{"import"});
  EXPECT_EQ(near_matches("lsit", kKnown), std::vector<std::string>{"list"}) << "a swap is one edit";
  EXPECT_EQ(near_matches("LIST", kKnown), std::vector<std::string>{"list"});
}

TEST(NearMatch, FindsAPart) {
  EXPECT_EQ(near_matches("smollm2", kKnown), std::vector<std::string>{"smollm2-135m-instruct"});
  EXPECT_EQ(near_matches("listing-all", kKnown), std::vector<std::string>{"list"});
}

TEST(NearMatch, GivesNothingWhereNothingIsNear) {
  EXPECT_TRUE(near_matches("zzzzzz", kKnown).empty());
  EXPECT_TRUE(near_matches("", kKnown).empty());
  EXPECT_TRUE(near_matches(std::string(1'000'000, 'l'), kKnown).empty());
  EXPECT_EQ(did_you_mean("zzzzzz", kKnown), "");
}

TEST(NearMatch, AsksInOneSentence) {
  EXPECT_EQ(did_you_mean("lst", kKnown), "; did you mean 'list'?");
  EXPECT_EQ(did_you_mean("ab", std::vector<std::string>{"abc", "abd", "xabx"}),
            "; did you mean 'abc', 'abd' or 'xabx'?");
}

}  // namespace
}  // namespace malina::base
