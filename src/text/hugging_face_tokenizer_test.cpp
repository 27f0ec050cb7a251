// Whole vocabularies and small ones as Hugging Face directories hold them, against the ids that the
// original implementations give (tests/golden/hugging_face_golden.py).
#include "text/hugging_face_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

namespace fs = std::filesystem;

HuggingFaceFiles::File shared_file(const std::string& name) {
  return {name, read_file(kVocabularies + name)};
}

format::Metadata metadata_of(const HuggingFaceFiles& files) {
  format::MetadataBuilder builder;
  add_hugging_face_tokenizer(files, builder);
  return builder.build("directory");
}

HuggingFaceFiles shared_vocabulary(const std::string& name) {
  HuggingFaceFiles files;
  (name.ends_with(".json") ? files.tokenizer_json : files.tokenizer_model) = shared_file(name);
  return files;
}

struct Golden {
  const char* vocabulary;
  const char* answers;
};

class SharedVocabularies : public ::testing::TestWithParam<Golden> {};

TEST_P(SharedVocabularies, GiveTheReferencesTokens) {
  const std::string folder = MALINA_SOURCE_DIR "/tests/golden/tokenizer/";
  const auto texts = nlohmann::json::parse(read_file(folder + "texts.json"));
  const auto golden = nlohmann::json::parse(read_file(folder + GetParam().answers));
  const auto metadata = metadata_of(shared_vocabulary(GetParam().vocabulary));
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_EQ(golden["tokens"].size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(tokenizer->encode(texts[i].get<std::string>(),
                                {.add_bos = false, .parse_special = golden["parse_special"]}),
              golden["tokens"][i].get<std::vector<Token>>())
        << "for: " << texts[i].dump();
}

INSTANTIATE_TEST_SUITE_P(
    Golden, SharedVocabularies,
    ::testing::Values(Golden{"phi-2.tokenizer.json", "phi-2.json"},
                      Golden{"llama.tokenizer.json", "llama-hf.json"},
                      Golden{"mistral-v1.tokenizer.json", "mistral-v1-hf.json"},
                      Golden{"tokenizer.model.v1", "mistral-v1.json"},
                      Golden{"mistral_instruct_tokenizer_240216.model.v2", "mistral-v2.json"},
                      Golden{"mistral_instruct_tokenizer_240323.model.v3", "mistral-v3.json"}));

std::vector<std::string> small_directories() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(MALINA_SOURCE_DIR "/tests/golden/hugging_face"))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class SmallDirectories : public ::testing::TestWithParam<std::string> {};

TEST_P(SmallDirectories, GiveTheReferencesTokens) {
  const fs::path folder = fs::path(MALINA_SOURCE_DIR "/tests/golden/hugging_face") / GetParam();
  format::MetadataBuilder builder;
  add_hugging_face_tokenizer(folder, builder);
  const format::Metadata metadata = builder.build(folder.string());
  const auto tokenizer = Tokenizer::create(metadata);
  const auto golden = nlohmann::json::parse(read_file((folder / "golden.json").string()));
  EXPECT_GT(golden["texts"].size(), 40U);
  for (std::size_t i = 0; i < golden["texts"].size(); ++i) {
    const std::string text = golden["texts"][i];
    EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .parse_special = true}),
              golden["tokens"][i].get<std::vector<Token>>())
        << "for: " << golden["texts"][i].dump();
  }
  EXPECT_EQ(tokenizer->adds_bos(), golden["adds_bos"].get<bool>());
  EXPECT_EQ(tokenizer->adds_eos(), golden["adds_eos"].get<bool>());
  if (golden.contains("pre")) {
    EXPECT_EQ(tokenizer->pre_tokenizer(), golden["pre"].get<std::string>());
  }
  EXPECT_EQ(tokenizer->warnings().size(), golden.value("warnings", std::size_t{0}))
      << ::testing::PrintToString(
             std::vector<std::string>(tokenizer->warnings().begin(), tokenizer->warnings().end()));
}

INSTANTIATE_TEST_SUITE_P(Golden, SmallDirectories, ::testing::ValuesIn(small_directories()),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

void expect_same_array(const format::Metadata& made, const format::Metadata& file,
                       const char* key) {
  const auto* a = made.array(key);
  const auto* b = file.array(key);
  ASSERT_TRUE(a != nullptr && b != nullptr) << key;
  EXPECT_TRUE(a->strings == b->strings && a->integers == b->integers && a->numbers == b->numbers)
      << key;
  EXPECT_EQ(a->stored, b->stored) << key;
}

TEST(HuggingFaceTokenizer, IsTheGgufVocabularyOfLlama) {
  const auto made = metadata_of(shared_vocabulary("llama.tokenizer.json"));
  const auto checkpoint = format::Checkpoint::open(kVocabularies + "ggml-vocab-llama-spm.gguf");
  const format::Metadata& file = checkpoint->metadata();
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"})
    expect_same_array(made, file, key);
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre"})
    EXPECT_EQ(made.text(key), file.text(key));
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.unknown_token_id"})
    EXPECT_EQ(made.integer(key), file.integer(key)) << key;
  EXPECT_EQ(made.boolean("tokenizer.ggml.add_bos_token"), true);
}

// The file has no scores; those made of its merges put the pieces in the original's order.
TEST(HuggingFaceTokenizer, MakesScoresInTheOrderOfTheMerges) {
  const auto made = metadata_of(shared_vocabulary("llama.tokenizer.json"));
  const auto file = format::Checkpoint::open(kVocabularies + "ggml-vocab-llama-spm.gguf");
  const auto& tokens = made.array("tokenizer.ggml.tokens")->strings;
  const auto& scores = made.array("tokenizer.ggml.scores")->numbers;
  const auto& original = file->metadata().array("tokenizer.ggml.scores")->numbers;
  ASSERT_EQ(scores.size(), original.size());
  std::size_t compared = 0;
  for (std::size_t i = 259, last = 0; i < scores.size(); ++i) {
    if (tokens[i].size() < 2 || original[i] < -40000) continue;  // no merge, or of spaces alone
    if (last != 0 && tokens[i].size() > 4) {
      EXPECT_EQ(scores[last] > scores[i], original[last] > original[i]) << i;
      ++compared;
    }
    if (tokens[i].size() > 4) last = i;
  }
  EXPECT_GT(compared, 20000U);
}

// Phi-2 has GPT-2's vocabulary and merges, and tokens of its own behind them.
TEST(HuggingFaceTokenizer, IsTheGgufVocabularyOfGpt2) {
  const auto made = metadata_of(shared_vocabulary("phi-2.tokenizer.json"));
  const auto file = format::Checkpoint::open(kVocabularies + "ggml-vocab-gpt-2.gguf");
  expect_same_array(made, file->metadata(), "tokenizer.ggml.merges");
  const auto* a = made.array("tokenizer.ggml.tokens");
  const auto* b = file->metadata().array("tokenizer.ggml.tokens");
  ASSERT_GE(a->strings.size(), b->strings.size());
  EXPECT_TRUE(std::equal(b->strings.begin(), b->strings.end(), a->strings.begin()));
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre"})
    EXPECT_EQ(made.text(key), file->metadata().text(key));
}

}  // namespace
}  // namespace malina::text::testing
