#include <gtest/gtest.h>

#include <random>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace malina::text {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";

TEST(Utf8Stream, HoldsAnUnfinishedCharacterBack) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80!"), "\xF0\x9F\x98\x80!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, ReplacesEachByteThatCannotBeText) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xE2\x96"), "");
  EXPECT_EQ(stream.push("A\xFF\x80"), std::string(kBad) + kBad + "A" + kBad + kBad);
  EXPECT_EQ(stream.push("\xED\xA0\x80"), std::string(kBad) + kBad + kBad);  // a surrogate
  EXPECT_EQ(stream.push("\xC0\xAF"), std::string(kBad) + kBad);             // an overlong slash
  EXPECT_EQ(stream.push("\xF4\x90\x80\x80"), std::string(kBad) + kBad + kBad + kBad);
}

TEST(Utf8Stream, ReplacesWhatIsLeftAtTheEnd) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xE2\x96"), "");
  EXPECT_EQ(stream.finish(), std::string(kBad) + kBad);
  EXPECT_EQ(stream.push("\x81"), kBad);  // begins anew
}

TEST(Utf8Stream, GivesTheSameHoweverTheBytesAreCut) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 12; ++i) {
      constexpr std::string_view kSeeds[] = {"a",        "é",        "▁",    "😀",
                                             "\xE2\x96", "\xF0\x9F", "\xC3", "\x80"};
      bytes += kSeeds[random() % std::size(kSeeds)];
      if (random() % 6 == 0) bytes += static_cast<char>(random());
    }
    Utf8Stream whole, parts;
    std::string expected = whole.push(bytes);
    expected += whole.finish();
    std::string output;
    for (std::size_t i = 0; i < bytes.size();) {
      const std::size_t count = 1 + random() % 3;
      output += parts.push(std::string_view(bytes).substr(i, count));
      EXPECT_EQ(output, expected.substr(0, output.size()));
      i += count;
    }
    EXPECT_EQ(output + parts.finish(), expected);
    for (std::size_t i = 0; i < expected.size();) {
      const std::size_t length = valid_character(std::string_view(expected).substr(i));
      ASSERT_GT(length, 0u);
      i += length;
    }
  }
}

}  // namespace
}  // namespace malina::text
