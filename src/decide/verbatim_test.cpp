#include "decide/verbatim.h"

#include <gtest/gtest.h>

#include <set>

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

}  // namespace
}  // namespace malina::decide
