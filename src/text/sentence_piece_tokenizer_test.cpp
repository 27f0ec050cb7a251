// SentencePiece's rules that whole vocabularies do not show.
#include <gtest/gtest.h>

#include <random>

#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

using Tokens = std::vector<Token>;

Pieces base_pieces() {
  Pieces pieces;
  pieces.add("<unk>", 2);
  pieces.add("<s>", 3);
  pieces.add("</s>", 3);
  return pieces;
}

std::shared_ptr<const Tokenizer> without_prefix(const Pieces& pieces) {
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.add_space_prefix", false);
  return Tokenizer::create(metadata);
}

TEST(SentencePiece, MergesTheHighestScoreFirstAndTheLeftmostOfEquals) {
  Pieces pieces = base_pieces();
  for (const char* text : {"a", "b"}) pieces.add(text, 1, -9);
  const Token aa = pieces.add("aa", 1, -1);
  const Token ab = pieces.add("ab", 1, -2);
  const auto tokenizer = without_prefix(pieces);
  EXPECT_EQ(tokenizer->encode("aaab"), (Tokens{aa, ab}));
  EXPECT_EQ(tokenizer->encode("aaa"), (Tokens{aa, *tokenizer->find("a")}));
}

TEST(SentencePiece, TakesUnusedPiecesApartAgain) {
  Pieces pieces = base_pieces();
  const Token a = pieces.add("a", 1, -9), b = pieces.add("b", 1, -9);
  pieces.add("ab", 5, -1);
  const Token abb = pieces.add("abb", 1, -2);
  const auto tokenizer = without_prefix(pieces);
  EXPECT_EQ(tokenizer->encode("ab"), (Tokens{a, b}));
  EXPECT_EQ(tokenizer->encode("abb"), (Tokens{abb}));  // through the unused one
}

TEST(SentencePiece, PutsTheSpaceAtTheBeginningAndBehindSpecialTokens) {
  const auto tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  const Tokens hello = tokenizer->encode("Hello");
  EXPECT_EQ(hello, (Tokens{15043}));  // "▁Hello"
  const Tokens twice =
      tokenizer->encode("Hello</s>Hello", {.add_bos = false, .parse_special = true});
  EXPECT_EQ(twice, (Tokens{15043, 2, 15043}));
  EXPECT_EQ(tokenizer->decode(hello), "Hello");
  EXPECT_EQ(tokenizer->decode(hello, false, false), " Hello");
  EXPECT_EQ(tokenizer->encode(""), Tokens{});
}

TEST(SentencePiece, NeverReadsBytesOrControlTokensByName) {
  const auto tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  for (const char* text : {"<0x41>", "<s>", "<unk>", "</s>"}) {
    for (const Token token : tokenizer->encode(text))
      EXPECT_EQ(tokenizer->kind(token), TokenKind::normal);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(SentencePiece, KeepsEveryByteOfWhatIsNotUtf8) {
  const auto tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::size_t i = 0; i < 1 + random() % 60; ++i)
      text += random() % 3 == 0 ? ' ' : static_cast<char>(random());
    if (text.find("▁") != std::string::npos) continue;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

// A vocabulary with a piece across a space forbids to cut words there.
TEST(SentencePiece, FindsPiecesThatGoAcrossSpaces) {
  Pieces pieces = base_pieces();
  for (const char* text : {"a", "b", "▁"}) pieces.add(text, 1, -9);
  pieces.add("a▁", 1, -3);
  const Token across = pieces.add("a▁b", 1, -4);
  const auto tokenizer = without_prefix(pieces);
  EXPECT_EQ(tokenizer->encode("a b"), (Tokens{across}));
}

// Long texts take another way than short words; the tokens must not tell.
TEST(SentencePiece, GivesTheSameForAWordAloneAndInALongText) {
  const auto tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  const std::string word = "internationalisation";
  std::string text = word;
  const Tokens one = tokenizer->encode(word);
  Tokens many = one;
  for (int i = 0; i < 200; ++i) {
    text += " " + word;
    many.insert(many.end(), one.begin(), one.end());
  }
  EXPECT_EQ(tokenizer->encode(text), many);
}

}  // namespace
}  // namespace malina::text::testing
