// Special tokens: where they are read, and that content never becomes one.
#include <gtest/gtest.h>

#include <random>

#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

using Tokens = std::vector<Token>;

// Byte-level, with chat markup, two user-defined tokens and a merge.
struct Chat {
  Pieces pieces{.model = "gpt2", .pre = "gpt-2"};
  Token start, end, think, double_space, hello;
  std::shared_ptr<const Tokenizer> tokenizer;

  explicit Chat(std::int64_t markup_type = 3) {
    for (char c = '!'; c <= '~'; ++c) pieces.add(std::string(1, c));
    pieces.add("Ġ");
    pieces.add("Ċ");
    pieces.merges = {"h i"};
    hello = pieces.add("hi");
    start = pieces.add("<|im_start|>", markup_type);
    end = pieces.add("<|im_end|>", markup_type);
    think = pieces.add("<think>", 4);
    double_space = pieces.add("  ", 4);
    tokenizer = Tokenizer::create(pieces.metadata());
  }
};

TEST(SpecialTokens, AreReadFromTrustedSpansOnly) {
  const Chat chat;
  const std::vector<Span> spans{
      {"<|im_start|>", true}, {"hi<|im_end|>", false}, {"<|im_end|>", true}};
  const Tokens tokens = chat.tokenizer->encode(spans);
  EXPECT_EQ(tokens.front(), chat.start);
  EXPECT_EQ(tokens.back(), chat.end);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), chat.end), 1);
  EXPECT_EQ(chat.tokenizer->decode(tokens), "hi<|im_end|>");
}

TEST(SpecialTokens, ThatLieAcrossABoundaryOfTrustAreText) {
  const Chat chat;
  for (const auto& spans : {std::vector<Span>{{"<|im_", true}, {"end|>", false}},
                            std::vector<Span>{{"<|im_", false}, {"end|>", true}},
                            std::vector<Span>{{"<|im", true}, {"_", false}, {"end|>", true}}}) {
    const Tokens tokens = chat.tokenizer->encode(spans);
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), chat.end), 0);
    EXPECT_EQ(chat.tokenizer->decode(tokens), "<|im_end|>");
  }
}

TEST(SpecialTokens, AreReadAcrossTrustedNeighbours) {
  const Chat chat;
  const std::vector<Span> spans{{"<|im_", true}, {"", false}, {"end|>", true}};
  EXPECT_EQ(chat.tokenizer->encode(spans), (Tokens{chat.end}));
}

TEST(SpecialTokens, LeaveTheTextBetweenThemWhole) {
  const Chat chat;
  const std::vector<Span> spans{{"<|im_start|>h", true}, {"i", false}, {"<|im_end|>", true}};
  EXPECT_EQ(chat.tokenizer->encode(spans), (Tokens{chat.start, chat.hello, chat.end}));
}

TEST(SpecialTokens, ThatAreUserDefinedAreReadAnywhere) {
  const Chat chat;
  EXPECT_EQ(chat.tokenizer->encode("hi<think>hi"), (Tokens{chat.hello, chat.think, chat.hello}));
  const std::vector<Span> spans{{"<th", true}, {"ink>  ", false}};
  EXPECT_EQ(chat.tokenizer->encode(spans), (Tokens{chat.think, chat.double_space}));
}

TEST(SpecialTokens, OfAPlainTextAreReadOnRequest) {
  const Chat chat;
  EXPECT_EQ(chat.tokenizer->decode(chat.tokenizer->encode("<|im_end|>")), "<|im_end|>");
  EXPECT_EQ(chat.tokenizer->encode("<|im_end|>", {.add_bos = false, .parse_special = true}),
            (Tokens{chat.end}));
}

TEST(SpecialTokens, CalledUserDefinedByOldFilesAreControlTokens) {
  const Chat chat(4);
  EXPECT_EQ(chat.tokenizer->kind(chat.start), TokenKind::control);
  EXPECT_EQ(chat.tokenizer->kind(chat.think), TokenKind::user_defined);
  EXPECT_EQ(chat.tokenizer->decode(chat.tokenizer->encode("<|im_start|>")), "<|im_start|>");
}

TEST(SpecialTokens, ThatEndATextAreKnown) {
  const Chat chat;
  const auto ends = chat.tokenizer->end_tokens();
  EXPECT_EQ(Tokens(ends.begin(), ends.end()), (Tokens{chat.end}));
}

TEST(SpecialTokens, ShowTheirNameOnlyOnRequest) {
  const Chat chat;
  const Tokens tokens{chat.start, chat.hello, chat.think};
  EXPECT_EQ(chat.tokenizer->decode(tokens), "hi<think>");
  EXPECT_EQ(chat.tokenizer->decode(tokens, true), "<|im_start|>hi<think>");
  EXPECT_EQ(chat.tokenizer->bytes(chat.start), "");
  EXPECT_EQ(chat.tokenizer->bytes(chat.start, true), "<|im_start|>");
}

TEST(SpecialTokens, PreferTheLongestAtOnePlace) {
  Pieces pieces{.model = "gpt2", .pre = "gpt-2"};
  for (char c = '!'; c <= '~'; ++c) pieces.add(std::string(1, c));
  pieces.add("##", 4);
  const Token longer = pieces.add("####", 4);
  const Token control = pieces.add("######", 3);
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(tokenizer->encode("####"), (Tokens{longer}));
  EXPECT_EQ(tokenizer->encode("######").front(), longer);
  EXPECT_EQ(tokenizer->encode("######", {.add_bos = false, .parse_special = true}),
            (Tokens{control}));
}

TEST(SpecialTokens, AddABosOnlyWhereNoneStands) {
  const auto tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->encode("", {.add_bos = true}), (Tokens{1}));
  const std::vector<Span> begun{{"<s>", true}, {"Hi", false}};
  const std::vector<Span> fresh{{"Hi", false}};
  EXPECT_EQ(tokenizer->encode(begun, {.add_bos = true}),
            tokenizer->encode(fresh, {.add_bos = true}));
}

TEST(SpecialTokens, OfPhi3TakeTheWhiteSpaceBehindThem) {
  Pieces pieces;
  pieces.add("<unk>", 2);
  pieces.add("<s>", 3);
  pieces.add("</s>", 3);
  const Token a = pieces.add("▁a");
  const Token end = pieces.add("<|end|>", 3);
  for (const char* part : {"a", "▁"}) pieces.add(part, 1, -1);
  format::Metadata metadata = pieces.metadata();
  metadata.add("general.name", std::string_view("Phi-3 mini"));
  EXPECT_EQ(
      Tokenizer::create(metadata)->encode("<|end|>\n a", {.add_bos = false, .parse_special = true}),
      (Tokens{end, a}));
}

// R9 of the trust rules: for every content, spelled however it is, no control token comes out.
TEST(SpecialTokens, NeverComeFromContent) {
  for (const char* name : {"ggml-vocab-llama-spm.gguf", "ggml-vocab-starcoder.gguf",
                           "mistral_instruct_tokenizer_240323.model.v3", "phi-2.tokenizer.json"}) {
    const auto tokenizer = open_tokenizer(name);
    std::vector<std::string> words{" ", "\n", "<", ">", "|", "<|", "|>", "a", "[", "INST", "]"};
    for (Token token = 0; token < static_cast<Token>(tokenizer->vocabulary_size()); ++token)
      if (tokenizer->kind(token) == TokenKind::control ||
          tokenizer->kind(token) == TokenKind::unknown)
        words.emplace_back(tokenizer->piece(token));
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
      std::vector<Span> spans{{"Instruct: ", true}, {"", false}};
      for (std::size_t i = 0; i < 1 + random() % 12; ++i) {
        std::string word = words[random() % words.size()];
        if (random() % 4 == 0) word.resize(word.size() - random() % word.size());
        if (random() % 8 == 0) word[random() % word.size()] = static_cast<char>(random());
        spans.back().text += word;
      }
      spans.push_back({"\nOutput:", true});
      for (const Token token : tokenizer->encode(spans))
        ASSERT_NE(tokenizer->kind(token), TokenKind::control) << spans[1].text;
    }
  }
}

}  // namespace
}  // namespace malina::text::testing
