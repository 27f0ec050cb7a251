// Known answers of other implementations, on whole vocabularies.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <sstream>

#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

struct KnownAnswer {
  std::string text;
  std::vector<Token> tokens;
};

std::vector<KnownAnswer> known_answers(const std::string& name) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string texts = read_file(kVocabularies + name + ".inp");
  std::istringstream lines(read_file(kVocabularies + name + ".out"));
  std::vector<KnownAnswer> answers;
  for (std::size_t begin = 0; begin <= texts.size();) {
    const std::size_t end = std::min(texts.find(kSeparator, begin), texts.size());
    KnownAnswer answer{texts.substr(begin, end - begin), {}};
    std::string line;
    if (!std::getline(lines, line)) break;
    std::istringstream numbers(line);
    for (Token token; numbers >> token;) answer.tokens.push_back(token);
    answers.push_back(std::move(answer));
    begin = end + kSeparator.size();
  }
  return answers;
}

class KnownAnswers : public ::testing::TestWithParam<const char*> {};

TEST_P(KnownAnswers, AreGiven) {
  const auto tokenizer = open_tokenizer(GetParam());
  const auto answers = known_answers(GetParam());
  EXPECT_EQ(answers.size(), 46u);
  for (const KnownAnswer& answer : answers)
    EXPECT_EQ(tokenizer->encode(answer.text), answer.tokens) << "for: " << answer.text;
}

TEST_P(KnownAnswers, DecodeToTheirText) {
  const auto tokenizer = open_tokenizer(GetParam());
  for (const KnownAnswer& answer : known_answers(GetParam()))
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(answer.text)), answer.text);
}

INSTANTIATE_TEST_SUITE_P(Shared, KnownAnswers,
                         ::testing::Values("ggml-vocab-llama-spm.gguf", "ggml-vocab-gpt-2.gguf",
                                           "ggml-vocab-starcoder.gguf"));

// tests/golden/tokenizer: what Hugging Face tokenizers and sentencepiece give for many texts.
const std::string kGolden = MALINA_SOURCE_DIR "/tests/golden/tokenizer/";

class GoldenTokens : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTokens, AreGiven) {
  const auto texts = nlohmann::json::parse(read_file(kGolden + "texts.json"));
  const auto golden = nlohmann::json::parse(read_file(kGolden + GetParam()));
  const auto tokenizer = open_tokenizer(golden["vocabulary"]);
  ASSERT_GT(texts.size(), 100u);
  ASSERT_EQ(golden["tokens"].size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const auto tokens =
        tokenizer->encode(text, {.add_bos = false, .parse_special = golden["parse_special"]});
    EXPECT_EQ(tokens, golden["tokens"][i].get<std::vector<Token>>()) << "for: " << texts[i].dump();
    if (text.find("▁") == std::string::npos) {
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenTokens,
                         ::testing::Values("gpt-2.json", "starcoder.json", "phi-2.json",
                                           "mistral-v1.json", "mistral-v2.json", "mistral-v3.json",
                                           "mistral-v1-hf.json"));

struct Sample {
  const char* folder;
  const char* version;
  const char* model;
};

class MistralSamples : public ::testing::TestWithParam<Sample> {};

// The samples are of Mistral's own tokeniser. It encodes each part alone, so that one "▁" behind a
// special token in the rendered text is the prefix that encoding adds.
TEST_P(MistralSamples, GiveTheTokensOfTheReference) {
  const Sample sample = GetParam();
  const std::string folder = kVocabularies + "mistral-samples/" + sample.folder + "/";
  const auto tokenizer = open_tokenizer(sample.model);
  std::string text = read_file(folder + "text_" + sample.version + ".txt");
  for (std::size_t at; (at = text.find("▁")) != std::string::npos;) text.replace(at, 3, " ");
  for (std::size_t at; (at = text.find("<0x0A>")) != std::string::npos;) text.replace(at, 6, "\n");
  for (const std::string special :
       {"<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"}) {
    const auto token = tokenizer->find(special);
    if (!token || tokenizer->kind(*token) != TokenKind::control) continue;
    for (std::size_t at = 0; (at = text.find(special + " ", at)) != std::string::npos;)
      text.erase(at += special.size(), 1);
  }
  const auto golden =
      nlohmann::json::parse(read_file(folder + "tokens_" + sample.version + ".json"));
  EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .parse_special = true}),
            golden["tokens"].get<std::vector<Token>>());
}

constexpr const char* kV2 = "mistral_instruct_tokenizer_240216.model.v2";
constexpr const char* kV3 = "mistral_instruct_tokenizer_240323.model.v3";
INSTANTIATE_TEST_SUITE_P(Shared, MistralSamples,
                         ::testing::Values(Sample{"no_tools", "v1", "tokenizer.model.v1"},
                                           Sample{"no_tools", "v2", kV2},
                                           Sample{"no_tools", "v3", kV3},
                                           Sample{"get_weather_full", "v2", kV2},
                                           Sample{"get_weather_full", "v3", kV3}));

}  // namespace
}  // namespace malina::text::testing
