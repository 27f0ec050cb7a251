#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "format/checkpoint.h"

namespace malina::text {
namespace {

const std::string kVocabularies = MALINA_SOURCE_DIR "/../shared/vocab/";

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::shared_ptr<const Tokenizer> open_tokenizer(const std::string& name) {
  return Tokenizer::create(format::Checkpoint::open(kVocabularies + name)->metadata());
}

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

class KnownAnswers : public testing::TestWithParam<const char*> {};

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
                         testing::Values("ggml-vocab-llama-spm.gguf", "ggml-vocab-gpt-2.gguf",
                                         "ggml-vocab-starcoder.gguf"));

}  // namespace
}  // namespace malina::text
