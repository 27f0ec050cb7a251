#include "tune/data/similar_texts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tune/data/plain_text.h"
#include "tune/data/wrappers.h"

namespace malina::tune {
namespace {

TEST(PlainText, KeepsLettersAndNumbersInLowerCase) {
  EXPECT_EQ(plain_text("  Isn't IT -- so?! "), "isn t it so");
  EXPECT_EQ(plain_text("PŘÍLIŠ žluťoučký"), "příliš žluťoučký");
  EXPECT_EQ(plain_text("e\xcc\x81t\xc3\xa9"), "été");  // composed
  EXPECT_EQ(plain_text("?!"), "");
}

TEST(PlainText, QuotesAreReadableAndOnOneLine) {
  EXPECT_EQ(in_readable_quotes("žádost"), "'žádost'");
  EXPECT_EQ(in_readable_quotes("a\nb"), "'a\\x0ab'");
  EXPECT_EQ(in_readable_quotes("\xff"), "'\\xff'");
  EXPECT_EQ(in_readable_quotes("\xc2\x9b"), "'\\xc2\\x9b'");
  EXPECT_EQ(in_readable_quotes(std::string(100, 'a')), "'" + std::string(80, 'a') + "...'");
}

TEST(PlainText, SimilarityIsThatOfCharacterFiveGrams) {
  EXPECT_EQ(similarity(shingles("abcdef"), shingles("abcdef")), 1);
  EXPECT_DOUBLE_EQ(similarity(shingles("abcdef"), shingles("abcdeg")), 1.0 / 3);
  EXPECT_EQ(similarity(shingles("abc"), shingles("abd")), 0);
  EXPECT_EQ(shingles("").size(), 1U);
}

std::vector<SimilarTexts::Neighbours> neighbours(const std::vector<std::string>& texts,
                                                 const std::vector<std::uint32_t>& parts) {
  SimilarTexts similar;
  for (std::size_t i = 0; i < texts.size(); ++i) similar.add(texts[i], parts[i]);
  return similar.find(0.8, [&](SimilarTexts::Id id) { return texts[id]; });
}

TEST(SimilarTexts, SameAndNearAreFoundInTheirParts) {
  const std::string one = "where is the nearest branch of the bank";
  const auto found = neighbours({one, "something else altogether here", one, one + " please", one,
                                 one + " pleas", "nothing like the others in this list"},
                                {0, 0, 0, 1, 1, 1, 1});
  EXPECT_EQ(found[0].same, 0U);
  EXPECT_EQ(found[2].same, 0U);
  EXPECT_EQ(found[4].same, 0U);
  ASSERT_TRUE(found[3].in_earlier_part);
  EXPECT_EQ(found[3].in_earlier_part->text, 0U);
  EXPECT_NEAR(found[3].in_earlier_part->similarity, 34.0 / 41, 1e-9);
  ASSERT_TRUE(found[5].in_part);
  EXPECT_EQ(found[5].in_part->text, 3U);
  EXPECT_FALSE(found[1].in_part);
  EXPECT_FALSE(found[6].in_part || found[6].in_earlier_part);
}

// A thousand random texts, each beside a copy with one changed word: every pair of 0.8 or more that
// the plain comparison of all pairs finds is found.
TEST(SimilarTexts, MissesNoneOfAThousandPairs) {
  base::Random random(7);
  const auto word = [&] {
    std::string text;
    for (int i = 0; i < 6; ++i) text.push_back(static_cast<char>('a' + random.below(26)));
    return text;
  };
  std::vector<std::string> texts;
  std::vector<std::uint32_t> parts;
  for (int i = 0; i < 1000; ++i) {
    std::string text, copy;
    for (int w = 0; w < 16; ++w) {
      const std::string next = word();
      text += (w > 0 ? " " : "") + next;
      copy += (w > 0 ? " " : "") + (w == 15 && i % 2 == 0 ? word() : next + (w == 15 ? "x" : ""));
    }
    texts.push_back(text);
    texts.push_back(copy);
    parts.insert(parts.end(), {0, 0});
  }
  const auto found = neighbours(texts, parts);
  std::size_t expected = 0, seen = 0;
  for (std::size_t i = 0; i < texts.size(); i += 2) {
    if (similarity(shingles(texts[i]), shingles(texts[i + 1])) < 0.8) continue;
    ++expected;
    seen += found[i + 1].in_part && found[i + 1].in_part->text == i ? 1 : 0;
  }
  EXPECT_GT(expected, 900U);
  EXPECT_EQ(seen, expected);
}

TEST(SimilarTexts, ThousandsOfTextsThatAreNearlyOneEnd) {
  SimilarTexts similar;
  const auto text_of = [](SimilarTexts::Id id) {
    return "your order " + std::to_string(id) + " has been shipped and will arrive soon";
  };
  for (SimilarTexts::Id id = 0; id < 2000; ++id) similar.add(text_of(id), 0);
  std::size_t reads = 0;
  const auto found = similar.find(0.8, [&](SimilarTexts::Id id) {
    ++reads;
    return text_of(id);
  });
  EXPECT_LT(reads, 2000U * 60);
  std::size_t near = 0;
  for (const auto& one : found) near += one.in_part ? 1 : 0;
  EXPECT_GT(near, 1900U);
}

Wrappers wrappers_of(const std::vector<std::string>& texts) {
  WrapperFinder finder;
  for (const std::string& text : texts) finder.add(text);
  return finder.find();
}

TEST(Wrappers, InstructionAndEndAreFound) {
  std::vector<std::string> texts;
  for (int i = 0; i < 50; ++i)
    texts.push_back("Classify the complaint.\nComment: " + std::string(1, char('a' + i % 26)) +
                    " text " + std::to_string(i * 7919) + "\nProduct:\n");
  const Wrappers found = wrappers_of(texts);
  EXPECT_EQ(found.strip(texts[1]), "b text 7919");
  EXPECT_EQ(found.prefixes, std::vector<std::string>{"Classify the complaint.\nComment: "});
  EXPECT_EQ(found.suffixes, std::vector<std::string>{"\nProduct:\n"});
  // Without it, and where it is all there is, a text stays.
  EXPECT_EQ(found.strip("plain"), "plain");
  EXPECT_EQ(found.strip("Classify the complaint.\nComment: "),
            "Classify the complaint.\nComment: ");
}

TEST(Wrappers, ThreeVariantsAreFound) {
  std::vector<std::string> texts;
  const std::string variants[]{"Ask: ", "Please answer this: ", "User says:\n"};
  for (int i = 0; i < 300; ++i)
    texts.push_back(variants[i % 3] + char('a' + i % 26) + " body " + std::to_string(i));
  const Wrappers found = wrappers_of(texts);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(found.strip(texts[i]), texts[i].substr(variants[i].size())) << texts[i];
}

TEST(Wrappers, BeginningsOfQuestionsAreNone) {
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i)
    texts.push_back(std::string(i % 2 == 0 ? "How do I " : "What is the ") + "thing number " +
                    std::to_string(i * 7919) + "?");
  EXPECT_TRUE(wrappers_of(texts).empty());
  EXPECT_TRUE(wrappers_of({"a: b", "a: c"}).empty());  // too few to tell
}

}  // namespace
}  // namespace malina::tune
