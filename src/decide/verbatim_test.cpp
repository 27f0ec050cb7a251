#include "decide/verbatim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "text/test_vocabularies.h"

namespace malina::decide {
namespace {

std::set<std::string> next_of(const VerbatimReader& reader, std::size_t most = 8) {
  std::set<std::string> next;
  reader.each_next(most, [&](std::string_view bytes) { next.emplace(bytes); });
  return next;
}

std::vector<std::string> pieces_of(const VerbatimReader& reader, std::string_view text) {
  std::vector<std::string> pieces;
  for (const Piece& piece : reader.pieces())
    pieces.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
  return pieces;
}

TEST(Verbatim, APieceBeginsAndEndsAtAWord) {
  const std::string text = "to New York";
  VerbatimReader reader(text, 4);
  EXPECT_FALSE(reader.may_end());
  const auto first = next_of(reader, 3);
  EXPECT_TRUE(first.contains("New"));
  EXPECT_TRUE(first.contains(" Ne"));
  EXPECT_TRUE(first.contains("to "));
  EXPECT_TRUE(first.contains("non"));
  EXPECT_FALSE(first.contains("ew"));
  EXPECT_FALSE(first.contains("New Y"));
  EXPECT_FALSE(first.contains("\n"));
  reader.accept("Ne");
  EXPECT_FALSE(reader.may_end());
  EXPECT_EQ(next_of(reader, 3), (std::set<std::string>{"w", "w ", "w Y"}));
  reader.accept("w");
  EXPECT_TRUE(reader.may_end());
  EXPECT_TRUE(next_of(reader).contains("\n"));
  reader.accept(" York");
  EXPECT_EQ(next_of(reader), (std::set<std::string>{"\n"}));
  reader.end();
  ASSERT_EQ(reader.pieces().size(), 1u);
  EXPECT_EQ(reader.pieces()[0].begin, 3u);
  EXPECT_EQ(reader.pieces()[0].end, 11u);
}

TEST(Verbatim, WhatWasTakenIsNotTakenAgain) {
  const std::string text = "red, blue and red";
  VerbatimReader reader(text, 4);
  for (const char* piece : {"red", "\n", " red", "\n"}) reader.accept(piece);
  ASSERT_EQ(reader.pieces().size(), 2u);
  EXPECT_EQ(reader.pieces()[0].begin, 0u);
  EXPECT_EQ(reader.pieces()[1].begin, 14u);
  const auto next = next_of(reader);
  EXPECT_FALSE(next.contains("red"));
  EXPECT_TRUE(next.contains("blue"));
  EXPECT_FALSE(next.contains("blue and red"));
  EXPECT_TRUE(reader.may_end());  // instead of a third
  reader.accept("blue");
  reader.accept(" and ");
  reader.end();
  EXPECT_EQ(pieces_of(reader, text), (std::vector<std::string>{"red", "red", "blue and"}));
}

TEST(Verbatim, NoneIsNoPieceUnlessTheTextHasIt) {
  VerbatimReader nothing("some text", 4);
  nothing.accept("no");
  EXPECT_FALSE(nothing.may_end());
  EXPECT_EQ(next_of(nothing), (std::set<std::string>{"n", "ne"}));
  nothing.accept("ne");
  EXPECT_TRUE(nothing.may_end());
  nothing.end();
  EXPECT_TRUE(nothing.pieces().empty());

  VerbatimReader itself("it is none", 4);
  itself.accept("none");
  itself.end();
  EXPECT_EQ(itself.pieces().size(), 1u);

  VerbatimReader later("some text", 4);
  later.accept("some");
  later.accept("\n");
  EXPECT_FALSE(next_of(later).contains("no"));
}

TEST(Verbatim, PiecesStayInTheirLineAndAreSoMany) {
  const std::string text = "a b\nc d";
  VerbatimReader reader(text, 2);
  reader.accept("b");
  EXPECT_EQ(next_of(reader), (std::set<std::string>{"\n"}));
  reader.accept("\n");
  reader.accept("c d");
  EXPECT_TRUE(next_of(reader).empty());
  EXPECT_TRUE(reader.may_end());
}

// All tokens that a reader's own list allows.
std::set<Token> tokens_of(const VerbatimReader& reader, const TokenBytes& tokens) {
  std::set<Token> allowed;
  reader.each_next(TokenBytes::kLongest, [&](std::string_view bytes) {
    for (const Token token : tokens.find(bytes)) allowed.insert(token);
  });
  if (allowed.empty() || reader.may_end())
    for (const Token token : tokens.tokenizer().end_tokens()) allowed.insert(token);
  return allowed;
}

TEST(Verbatim, ConstraintsKeepUpWithWhatWasTaken) {
  const auto tokenizer = text::testing::open_tokenizer("phi-2.tokenizer.json");
  const auto tokens = std::make_shared<const TokenBytes>(tokenizer, tokenizer->vocabulary_size());
  const std::string text =
      "The boiler of block 4 leaks, block 4 leaks again;  two pumps\nand none of the "
      "valves\tfailed "
      "(valves: 4, 4, 4). P\u0159e\u010derp\u00e1no.";
  std::mt19937 random(5);
  std::size_t pieces = 0;
  for (int walk = 0; walk < 30; ++walk) {
    VerbatimConstraint constraint(tokens, text, 5);
    VerbatimReader reader(text, 5);
    for (int step = 0; step < 60; ++step) {
      const engine::TokenMask mask = constraint.allowed();
      std::set<Token> allowed;
      for (std::size_t i = 0; i < mask.size() * 64; ++i)
        if ((mask[i / 64] >> (i % 64) & 1) != 0) allowed.insert(static_cast<Token>(i));
      ASSERT_EQ(allowed, tokens_of(reader, *tokens)) << "walk " << walk << ", step " << step;
      // A line's end often, so that many pieces are taken.
      const std::span<const Token> ends = tokens->find("\n");
      std::vector<Token> choices(allowed.begin(), allowed.end());
      const bool cut = random() % 3 == 0 && allowed.contains(ends.front());
      const Token token = cut ? ends.front() : choices[random() % choices.size()];
      if (std::ranges::count(tokenizer->end_tokens(), token) > 0) break;
      constraint.accept(token);
      reader.accept(tokenizer->bytes(token));
    }
    pieces += reader.pieces().size();
  }
  EXPECT_GT(pieces, 30U);
}

}  // namespace
}  // namespace malina::decide
