// Vocabulary text is hostile: whatever a file says, there is an error that names it or a rule.
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

using base::Error;
using base::Fault;

Pieces sentence_pieces() {
  Pieces pieces;
  pieces.add("<unk>", 2);
  pieces.add("<s>", 3);
  pieces.add("</s>", 3);
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    pieces.add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", 6);
  return pieces;
}

Pieces byte_pieces() {
  Pieces pieces{.model = "gpt2", .pre = "gpt-2"};
  for (char c = '!'; c <= '~'; ++c) pieces.add(std::string(1, c));
  return pieces;
}

std::string refusal(const format::Metadata& metadata, Fault fault = Fault::corrupt_file) {
  try {
    Tokenizer::create(metadata);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    return error.what();
  }
  return "accepted";
}

// The metadata without one key.
format::Metadata without(const format::Metadata& metadata, std::string_view key) {
  format::Metadata rest;
  for (const auto& entry : metadata.entries())
    if (entry.key != key) rest.add(entry.key, entry.value);
  return rest;
}

TEST(HostileVocabulary, WithoutTokensIsRefused) {
  const Pieces pieces = sentence_pieces();
  EXPECT_EQ(refusal(without(pieces.metadata(), "tokenizer.ggml.tokens")),
            "tokenizer.ggml.tokens is missing or empty");
  EXPECT_EQ(refusal(Pieces{}.metadata()), "tokenizer.ggml.tokens is missing or empty");
}

TEST(HostileVocabulary, WithoutAModelIsRefused) {
  const Pieces pieces = sentence_pieces();
  EXPECT_EQ(refusal(without(pieces.metadata(), "tokenizer.ggml.model")),
            "tokenizer.ggml.model is missing: the file has no vocabulary");
}

TEST(HostileVocabulary, OfAnotherModelIsRefusedByName) {
  Pieces pieces = sentence_pieces();
  pieces.model = "rwkv";
  EXPECT_EQ(refusal(pieces.metadata(), Fault::unsupported),
            "tokenizer.ggml.model 'rwkv' is not supported, only llama and gpt2");
}

TEST(HostileVocabulary, OfAnUnknownPreTokeniserIsRefusedByName) {
  Pieces pieces = byte_pieces();
  pieces.pre = "kimi-k2\x1b[2J";
  EXPECT_EQ(refusal(pieces.metadata(), Fault::unsupported),
            "tokenizer.ggml.pre 'kimi-k2\\x1b[2J' is not a pre-tokeniser that this program knows");
}

TEST(HostileVocabulary, WithTooFewTypesOrScoresIsRefused) {
  Pieces pieces = sentence_pieces();
  pieces.types.pop_back();
  EXPECT_EQ(refusal(pieces.metadata()),
            "tokenizer.ggml.token_type has 258 integers for 259 tokens");
  pieces = sentence_pieces();
  pieces.scores.resize(3);
  EXPECT_EQ(refusal(pieces.metadata()), "tokenizer.ggml.scores has 3 numbers for 259 tokens");
  pieces = sentence_pieces();
  EXPECT_EQ(refusal(without(pieces.metadata(), "tokenizer.ggml.scores")),
            "tokenizer.ggml.scores is missing: a SentencePiece vocabulary needs its scores");
}

TEST(HostileVocabulary, WithATypeOutOfRangeIsRefused) {
  Pieces pieces = sentence_pieces();
  pieces.types[7] = 9;
  EXPECT_EQ(refusal(pieces.metadata()), "tokenizer.ggml.token_type of token 7 is 9, not 1 to 6");
}

TEST(HostileVocabulary, WithAByteTokenThatIsNoneIsRefused) {
  for (const char* text : {"<0x-1>", "<0xG0>", "<0x1>", "<0x041>", "", "<0x 1>", "<0x+1>"}) {
    Pieces pieces = sentence_pieces();
    pieces.texts[68] = text;
    EXPECT_EQ(refusal(pieces.metadata()),
              "token 68 is of type byte, but its text is not of the form <0x41>");
  }
}

TEST(HostileVocabulary, WithAMergeThatDoesNotParseIsRefused) {
  for (const char* merge : {"ab", "", " ", " b", "a ", "a"}) {
    Pieces pieces = byte_pieces();
    pieces.merges = {"a b", merge};
    EXPECT_EQ(refusal(pieces.metadata()),
              "tokenizer.ggml.merges: entry 1 is not two pieces with a space between them")
        << merge;
  }
  const Pieces pieces = byte_pieces();
  EXPECT_EQ(refusal(without(pieces.metadata(), "tokenizer.ggml.merges")),
            "tokenizer.ggml.merges is missing: a byte-level vocabulary needs its merges");
}

TEST(HostileVocabulary, WithAnArrayOfAnotherTypeIsRefused) {
  const Pieces pieces = byte_pieces();
  format::Metadata metadata = without(pieces.metadata(), "tokenizer.ggml.tokens");
  format::MetadataArray numbers;
  numbers.integers = {1, 2, 3};
  metadata.add("tokenizer.ggml.tokens", numbers);
  EXPECT_EQ(refusal(metadata), "tokenizer.ggml.tokens is not an array of texts");
}

TEST(HostileVocabulary, WithMergesOfMissingPiecesIgnoresThem) {
  Pieces pieces = byte_pieces();
  pieces.merges = {"a b", "x nowhere"};
  const Token joined = pieces.add("ab");
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<Token>{joined}));
  EXPECT_NE(std::find(tokenizer->warnings().begin(), tokenizer->warnings().end(),
                      "1 of 2 merges name pieces that the vocabulary does not hold: ignored"),
            tokenizer->warnings().end());
}

TEST(HostileVocabulary, WithTheSamePieceTwiceProducesTheFirst) {
  Pieces pieces = sentence_pieces();
  const Token first = pieces.add("a", 1, -1);
  pieces.add("a", 1, 5);
  pieces.metadata();
  const auto metadata = [&] {
    format::Metadata m = pieces.metadata();
    m.add("tokenizer.ggml.add_space_prefix", false);
    return m;
  }();
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->encode("a"), (std::vector<Token>{first}));
  EXPECT_EQ(tokenizer->warnings().size(), 4u);  // and bos, eos, unk assumed
}

TEST(HostileVocabulary, WithSpecialIdsOutOfRangeHasNone) {
  const Pieces pieces = sentence_pieces();
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.bos_token_id", std::uint64_t{4'000'000'000});
  metadata.add("tokenizer.ggml.eos_token_id", std::uint64_t{259});
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), std::nullopt);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->encode("ok", {.add_bos = true}), tokenizer->encode("ok"));
}

TEST(HostileVocabulary, WithScoresThatAreNoNumbersStillDecodes) {
  Pieces pieces = sentence_pieces();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const char* text : {"a", "b", "c", "▁"}) pieces.add(text, 1, nan);
  const Token first = pieces.add("ab", 1, -infinity);
  pieces.add("bc", 1, nan);
  const Token abc = pieces.add("abc", 1, nan);
  pieces.add("▁a", 1, nan);
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->encode("abc"), (std::vector<Token>{abc}));  // "ab" first: a number
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<Token>{first}));
}

TEST(HostileVocabulary, CannotMakeAControlTokenByMerging) {
  Pieces pieces = byte_pieces();
  pieces.merges = {"< s", "<s >"};
  pieces.add("<s");
  const Token control = pieces.add("<s>", 3);
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  for (const Token token : tokenizer->encode("<s>")) EXPECT_NE(token, control);
  EXPECT_EQ(tokenizer->encode("<s>", {.add_bos = false, .parse_special = true}),
            (std::vector<Token>{control}));
}

TEST(HostileVocabulary, CannotMakeAControlTokenOfTheUnknownOne) {
  Pieces pieces = byte_pieces();
  const Token end = pieces.add("<|endoftext|>", 3);
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.unknown_token_id", static_cast<std::uint64_t>(end));
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xC3\xA9z")), "az");  // no token for é
}

TEST(HostileVocabulary, WithoutABytesTokenGivesOneUnknownForARun) {
  Pieces pieces;
  const Token unknown = pieces.add("<unk>", 2);
  pieces.add("<s>", 3);
  pieces.add("</s>", 3);
  const Token a = pieces.add("a");
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->encode("a漢字a"), (std::vector<Token>{a, unknown, a}));
}

TEST(HostileVocabulary, LeavesTheLineBreakAPieceThoughItEndsTheText) {
  Pieces pieces = byte_pieces();
  const Token line_break = pieces.add("Ċ");
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.eos_token_id", static_cast<std::uint64_t>(line_break));
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->encode("\n"), (std::vector<Token>{line_break}));
  EXPECT_EQ(tokenizer->end_tokens().front(), line_break);
}

// Found by fuzzing: a user-defined token was made by merges of other bytes than it decoded to.
TEST(HostileVocabulary, WithAWrittenTokenThatMergesMakeTooStandsForItsBytes) {
  Pieces pieces = byte_pieces();
  for (const char* letter : {"æ", "Ŀ", "±", "Ã", "¦", "Ä", "¿"}) pieces.add(letter);
  const Token both = pieces.add("æĿ", 4);
  const Token east = pieces.add("æĿ±");
  pieces.merges = {"æ Ŀ", "æĿ ±"};
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(tokenizer->encode("東"), (std::vector<Token>{east}));
  EXPECT_EQ(tokenizer->encode("\xE6\x9D"), (std::vector<Token>{both}));
  for (const std::string_view text : {"東", "\xE6\x9D", "æĿ", "aæĿ東"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(HostileVocabulary, WithAWrittenTokenForAByteStandsForTheByte) {
  Pieces pieces = byte_pieces();
  const Token space = pieces.add("Ġ", 4);
  for (const char* letter : {"Ä", "ł", "Ã"}) pieces.add(letter);
  const Token accent = pieces.add("©", 4);
  const Token beyond = pieces.add("ö", 4);  // of a byte that no UTF-8 has
  const Token pilcrow = pieces.add("¶");
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(tokenizer->encode(" "), (std::vector<Token>{space}));
  EXPECT_EQ(tokenizer->encode("é").back(), accent);
  EXPECT_EQ(tokenizer->encode("ö"), (std::vector<Token>{beyond}));
  for (const std::string_view text : {"a b", "é", "ö", "aö b"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{pilcrow}), "\xB6");
}

// Of parts that take no part it is never made, and stays what it is.
TEST(HostileVocabulary, WithAWrittenTokenOfAUselessMergeIsReadAsWritten) {
  Pieces pieces = byte_pieces();
  pieces.add("æ");
  pieces.add("Ŀ", 3);
  const Token written = pieces.add("æĿ", 4);
  pieces.merges = {"æ Ŀ"};
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(tokenizer->encode("æĿ"), (std::vector<Token>{written}));
}

TEST(HostileVocabulary, WithAWrittenTokenIsItselfInTextsAlone) {
  for (const char* rule : {"gpt-2", "llama-bpe"}) {
    Pieces pieces = byte_pieces();
    pieces.pre = rule;
    for (const char* letter : {"æ", "Ŀ", "±"}) pieces.add(letter);
    const Token written = pieces.add("æĿ", 4);
    const auto tokenizer = Tokenizer::create(pieces.metadata());
    EXPECT_EQ(tokenizer->encode("æĿ"), (std::vector<Token>{written}));
    for (const std::string_view text : {"\xE6\x9D", "æĿ", "aæĿ東"})
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << rule;
  }
}

// Found by fuzzing.
TEST(HostileVocabulary, LeavesAByteAByteThoughItEndsTheText) {
  Pieces pieces;
  pieces.add("<unk>", 2);
  pieces.add("▁");
  const Token byte = pieces.add("<0x0A>", 6);
  format::Metadata metadata = pieces.metadata();
  metadata.add("tokenizer.ggml.eos_token_id", static_cast<std::uint64_t>(byte));
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->kind(byte), TokenKind::byte);
  EXPECT_EQ(tokenizer->encode("\n"), (std::vector<Token>{1, byte}));
}

TEST(HostileVocabulary, TokensOutOfRangeAreNamed) {
  const Pieces pieces = byte_pieces();
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  for (const Token token : {-1, 94, 1 << 30}) {
    EXPECT_THROW(tokenizer->bytes(token), Error);
    EXPECT_THROW(tokenizer->piece(token), Error);
    EXPECT_THROW(tokenizer->kind(token), Error);
    EXPECT_THROW(tokenizer->decode(std::vector<Token>{token}), Error);
  }
}

}  // namespace
}  // namespace malina::text::testing
