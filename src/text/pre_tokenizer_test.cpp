#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

std::vector<std::string> pieces_of(const char* rule, std::string_view text) {
  std::vector<std::string> pieces;
  PreTokenizer::find(rule)->split(text,
                                  [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

using List = std::vector<std::string>;

// tests/golden/tokenizer/pieces.json: what the regular expressions themselves give.
TEST(PreTokenizer, SplitsAsTheRegularExpressionsDo) {
  const std::string folder = MALINA_SOURCE_DIR "/tests/golden/tokenizer/";
  const auto texts = nlohmann::json::parse(read_file(folder + "texts.json"));
  const auto golden = nlohmann::json::parse(read_file(folder + "pieces.json"));
  ASSERT_GE(golden.size(), 17u);
  for (const auto& [name, expected] : golden.items()) {
    const PreTokenizer* rule = PreTokenizer::find(name);
    ASSERT_NE(rule, nullptr) << name;
    ASSERT_EQ(expected.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::vector<std::size_t> lengths;
      rule->split(texts[i].get<std::string>(),
                  [&](std::string_view piece) { lengths.push_back(piece.size()); });
      EXPECT_EQ(lengths, expected[i].get<std::vector<std::size_t>>())
          << name << " on " << texts[i].dump();
    }
  }
}

TEST(PreTokenizer, KeepsASpaceWithTheWordBehindIt) {
  EXPECT_EQ(pieces_of("gpt-2", "it's a  test"), (List{"it", "'s", " a", " ", " test"}));
}

TEST(PreTokenizer, OfSmollmMakesEveryDigitAPiece) {
  EXPECT_EQ(pieces_of("smollm", "in 1984"), (List{"in", " ", "1", "9", "8", "4"}));
}

TEST(PreTokenizer, OfLlama3TakesThreeDigitsAtATime) {
  EXPECT_EQ(pieces_of("llama-bpe", "12345 678"), (List{"123", "45", " ", "678"}));
}

TEST(PreTokenizer, OfQwenKeepsLineBreaksWithPunctuation) {
  EXPECT_EQ(pieces_of("qwen2", "{\n\n  x"), (List{"{\n\n", " ", " x"}));
}

TEST(PreTokenizer, KeepsBytesThatAreNotUtf8) {
  for (const char* rule :
       {"gpt-2", "smollm", "qwen2", "llama-bpe", "tekken", "gpt-4o", "falcon", "default", "bloom",
        "viking", "deepseek-llm", "deepseek-coder", "deepseek-v3"}) {
    const std::string text = "a\xFF\xC3 \xE2\x96 b\x80\xF0\x9F\x98 1\xED\xA0\x80\xE2";
    std::string joined;
    for (const std::string& piece : pieces_of(rule, text)) {
      EXPECT_FALSE(piece.empty());
      joined += piece;
    }
    EXPECT_EQ(joined, text) << rule;
  }
}

TEST(PreTokenizer, UnknownToItIsNull) { EXPECT_EQ(PreTokenizer::find("no-such-rule"), nullptr); }

}  // namespace
}  // namespace malina::text::testing
