#include "base/utf8.h"

#include <gtest/gtest.h>

namespace malina::base {

namespace {

TEST(Utf8, CountsCodePoints) {
  EXPECT_EQ(code_points(""), 0U);
  EXPECT_EQ(code_points("plain"), 5U);
  EXPECT_EQ(code_points("příliš"), 6U);
  EXPECT_EQ(code_points("\U0001F600\u4E2D"), 2U);
}

TEST(Utf8, CutsBetweenCharacters) {
  EXPECT_EQ(whole_characters("plain", 5), "plain");
  EXPECT_EQ(whole_characters("plain", 3), "pla");
  EXPECT_EQ(whole_characters("příliš", 2), "p");
  EXPECT_EQ(whole_characters("příliš", 3), "př");
  EXPECT_EQ(whole_characters("\U0001F600", 3), "");
}

}  // namespace

}  // namespace malina::base
