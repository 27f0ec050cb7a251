#include "text/infilling.h"

#include "base/error.h"
#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

using Tokens = std::vector<Token>;

// CodeLlama's vocabulary: Llama's, 7 pieces more, then its marks at 32007.
std::shared_ptr<const Tokenizer> code_llama() {
  static const Pieces pieces = [] {
    Pieces all;
    const auto llama = format::Checkpoint::open(kVocabularies + "ggml-vocab-llama-spm.gguf");
    const auto array = [&](const char* name) {
      return *llama->metadata().array(std::string("tokenizer.ggml.") + name);
    };
    const auto texts = array("tokens").strings;
    const auto scores = array("scores").numbers;
    const auto types = array("token_type").integers;
    for (std::size_t i = 0; i < texts.size(); ++i)
      all.add(std::string(texts[i]), types[i], scores[i]);
    while (all.texts.size() < 32007) all.add("▁<unused" + std::to_string(all.texts.size()) + ">", 5);
    for (const char* mark : {"▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"}) all.add(mark, 3);
    return all;
  }();
  return Tokenizer::create(pieces.metadata());
}

// Meta's own function on the same pieces: encode("☺" + text) without its first two ids.
Tokens infilled(const Tokenizer& tokenizer, const std::string& text) {
  const Tokens tokens = tokenizer.encode("☺" + text);
  return {tokens.begin() + 2, tokens.end()};
}

Tokens joined(const std::vector<Tokens>& parts) {
  Tokens all;
  for (const Tokens& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const std::string kPrefix = "def add(a, b):\n    return ";
const std::string kSuffix = "\n\nprint(add(1, 2))\n";

TEST(Infilling, CodeLlamaByBothOrders) {
  const auto tokenizer = code_llama();
  EXPECT_EQ(infill_prompt(*tokenizer, kPrefix, kSuffix),
            joined({{1, 32007}, tokenizer->encode(kPrefix), {32008}, infilled(*tokenizer, kSuffix),
                    {32009}}));
  EXPECT_EQ(infill_prompt(*tokenizer, kPrefix, kSuffix, InfillOrder::suffix_first),
            joined({{1, 32007, 32008}, infilled(*tokenizer, kSuffix), {32009},
                    tokenizer->encode(kPrefix)}));
  // "return x" without a space put before it: no "▁return" (736), but "return" (2457).
  EXPECT_EQ(infill_prompt(*tokenizer, "", "return x"),
            (Tokens{1, 32007, 32008, 2457, 921, 32009}));
  EXPECT_EQ(infill_prompt(*tokenizer, "", ""), (Tokens{1, 32007, 32008, 32009}));
}

TEST(Infilling, CodeLlamaEndsAtItsOwnToken) {
  const auto tokenizer = code_llama();
  const auto ends = tokenizer->end_tokens();
  EXPECT_NE(std::find(ends.begin(), ends.end(), 32010), ends.end());
}

TEST(Infilling, MistralPutsTheSuffixFirst) {
  const auto tokenizer = open_tokenizer("mistral_instruct_tokenizer_240323.model.v3");
  const Token prefix = *tokenizer->find("[PREFIX]"), suffix = *tokenizer->find("[SUFFIX]");
  EXPECT_EQ(infill_prompt(*tokenizer, kPrefix, kSuffix),
            joined({{1, suffix}, infilled(*tokenizer, kSuffix), {prefix},
                    tokenizer->encode(kPrefix)}));
}

TEST(Infilling, OtherVocabulariesMarkAllThree) {
  Pieces pieces;
  pieces.model = "gpt2";
  pieces.pre = "gpt-2";
  for (const char* letter : {"a", "b", "<", "|", "f", "i", "m", "_", "x", ">"}) pieces.add(letter);
  for (const char* mark : {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"}) pieces.add(mark, 3);
  const auto tokenizer = Tokenizer::create(pieces.metadata());
  EXPECT_EQ(infill_prompt(*tokenizer, "a", "b"), (Tokens{10, 0, 12, 1, 11}));
  EXPECT_THROW(infill_prompt(*tokenizer, "a", "b", InfillOrder::suffix_first), base::Error);
}

TEST(Infilling, MarksInTheTextAreText) {
  const auto tokenizer = code_llama();
  const Tokens tokens = infill_prompt(*tokenizer, "a ▁<MID> b", "<SUF>");
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 32009), 1);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 32008), 1);
}

TEST(Infilling, OtherModelsAreRefused) {
  EXPECT_THROW(infill_prompt(*open_tokenizer("ggml-vocab-llama-spm.gguf"), "a", "b"), base::Error);
}

}  // namespace
}  // namespace malina::text::testing
