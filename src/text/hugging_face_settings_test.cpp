// How the files beside a tokenizer.json are joined with it.
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/hugging_face_tokenizer.h"
#include "text/test_vocabularies.h"

namespace malina::text::testing {
namespace {

const std::string kFolder = MALINA_SOURCE_DIR "/tests/golden/hugging_face/";

HuggingFaceFiles::File file(const std::string& name, std::string text) {
  return {name, std::move(text)};
}

HuggingFaceFiles byte_level_files() {
  HuggingFaceFiles files;
  files.tokenizer_json = file("tokenizer.json", read_file(kFolder + "qwen2/tokenizer.json"));
  return files;
}

format::Metadata metadata_of(const HuggingFaceFiles& files) {
  format::MetadataBuilder builder;
  add_hugging_face_tokenizer(files, builder);
  return builder.build("directory");
}

std::vector<std::string> warnings_of(const format::Metadata& metadata) {
  const auto* array = metadata.array("malina.tokenizer.warnings");
  if (array == nullptr) return {};
  return {array->strings.begin(), array->strings.end()};
}

TEST(HuggingFaceSettings, AllEndsOfTextAreUnited) {
  HuggingFaceFiles files = byte_level_files();
  files.tokenizer_config = file("tokenizer_config.json", R"({"eos_token": "</s>"})");
  files.config = file("config.json", R"({"eos_token_id": [1, 100]})");
  files.generation_config = file("generation_config.json", R"({"eos_token_id": [2, 1]})");
  const auto metadata = metadata_of(files);
  const auto tokenizer = Tokenizer::create(metadata);
  const auto ends = tokenizer->end_tokens();
  const Token im_end = *tokenizer->find("<|im_end|>");
  EXPECT_EQ(std::vector<Token>(ends.begin(), ends.end()), (std::vector<Token>{1, 2, im_end, 100}));
  EXPECT_EQ(tokenizer->eos(), 1);
}

TEST(HuggingFaceSettings, OneEndOfTextIsEnough) {
  HuggingFaceFiles files = byte_level_files();
  files.config = file("config.json", R"({"text_config": {"eos_token_id": 2, "bos_token_id": 0}})");
  const auto tokenizer = Tokenizer::create(metadata_of(files));
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->bos(), 0);
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(HuggingFaceSettings, RowsWithoutTokensAreUnused) {
  HuggingFaceFiles files = byte_level_files();
  files.config = file("config.json", R"({"vocab_size": 500})");
  const auto tokenizer = Tokenizer::create(metadata_of(files));
  EXPECT_EQ(tokenizer->vocabulary_size(), 500U);
  EXPECT_EQ(tokenizer->piece(499), "[PAD499]");
  EXPECT_EQ(tokenizer->kind(499), TokenKind::unused);
}

TEST(HuggingFaceSettings, TokensWithoutRowsAreLeftOut) {
  HuggingFaceFiles files = byte_level_files();
  files.config = file("config.json", R"({"vocab_size": 454})");
  const auto metadata = metadata_of(files);
  EXPECT_EQ(metadata.array("tokenizer.ggml.tokens")->size(), 454U);
  ASSERT_EQ(warnings_of(metadata).size(), 1U);
  EXPECT_EQ(warnings_of(metadata)[0],
            "1 tokens are beyond the vocab_size of config.json, 454: left out");
}

TEST(HuggingFaceSettings, ATemplateOfItsOwnGoesFirst) {
  HuggingFaceFiles files = byte_level_files();
  files.tokenizer_config = file(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "a"}, {"name": "tool use", "template": "b"}]})");
  auto metadata = metadata_of(files);
  EXPECT_EQ(metadata.text("tokenizer.chat_template"), "a");
  EXPECT_EQ(metadata.text("tokenizer.chat_template.tool_use"), "b");
  EXPECT_EQ(metadata.array("tokenizer.chat_templates")->strings[0], "tool use");
  EXPECT_TRUE(warnings_of(metadata).empty());
  files.chat_template = file("chat_template.jinja", "c");
  files.more_templates = {{"rag", file("rag.jinja", "d")}};
  metadata = metadata_of(files);
  EXPECT_EQ(metadata.text("tokenizer.chat_template"), "c");
  EXPECT_EQ(metadata.text("tokenizer.chat_template.rag"), "d");
  ASSERT_EQ(warnings_of(metadata).size(), 1U);
  EXPECT_EQ(warnings_of(metadata)[0],
            "chat_template.jinja has another chat template 'default' than "
            "tokenizer_config.json: it is used");
}

TEST(HuggingFaceSettings, DisagreementsAreSaid) {
  HuggingFaceFiles files;
  files.tokenizer_json = file("tokenizer.json", read_file(kFolder + "llama2/tokenizer.json"));
  files.tokenizer_config =
      file("tokenizer_config.json",
           R"({"add_bos_token": false, "bos_token": "<s>", "pad_token": "[PAD]"})");
  files.special_tokens_map = file("special_tokens_map.json", R"({"bos_token": "</s>"})");
  files.tokenizer_model =
      file("tokenizer.model", read_file(kFolder + "tokenizer-model-gemma/tokenizer.model"));
  const auto metadata = metadata_of(files);
  const auto warnings = warnings_of(metadata);
  ASSERT_EQ(warnings.size(), 4U);
  EXPECT_EQ(warnings[0],
            "special_tokens_map.json: bos_token is '</s>', in tokenizer_config.json "
            "'<s>': the former is used");
  EXPECT_NE(warnings[1].find("pieces are not those of tokenizer.json"), std::string::npos);
  EXPECT_EQ(warnings[2], "pad_token '[PAD]' is not in the vocabulary: ignored");
  EXPECT_EQ(warnings[3],
            "tokenizer_config.json says add_bos_token false, the post_processor of tokenizer.json "
            "true: the former is used");
  EXPECT_GE(Tokenizer::create(metadata)->warnings().size(), 4U);
}

TEST(HuggingFaceSettings, ScoresComeFromAModelOfTheSamePieces) {
  HuggingFaceFiles files;
  files.tokenizer_json = file("tokenizer.json", read_file(kFolder + "llama2/tokenizer.json"));
  files.tokenizer_model =
      file("tokenizer.model", read_file(kFolder + "tokenizer-model/tokenizer.model"));
  const auto both = metadata_of(files);
  EXPECT_TRUE(warnings_of(both).empty());
  HuggingFaceFiles alone;
  alone.tokenizer_model = files.tokenizer_model;
  const auto model = metadata_of(alone);
  for (const char* key :
       {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    EXPECT_EQ(both.array(key)->strings, model.array(key)->strings) << key;
    EXPECT_EQ(both.array(key)->numbers, model.array(key)->numbers) << key;
    EXPECT_EQ(both.array(key)->integers, model.array(key)->integers) << key;
  }
  EXPECT_TRUE(both.contains("malina.tokenizer.merges"));
  EXPECT_FALSE(model.contains("malina.tokenizer.merges"));
}

TEST(HuggingFaceSettings, PropertiesInTokenizerConfigReplaceThoseInTokenizerJson) {
  HuggingFaceFiles files = byte_level_files();
  files.tokenizer_config = file(
      "tokenizer_config.json",
      R"({"added_tokens_decoder": {"2": {"content": "<|im_start|>", "special": true, "rstrip": true},
          "460": {"content": "<new>", "special": false}}})");
  const auto metadata = metadata_of(files);
  const auto tokenizer = Tokenizer::create(metadata);
  EXPECT_EQ(tokenizer->find("<new>"), 460);
  const std::vector<Span> spans{{"<|im_start|> \n", true}, {"<new>", false}};
  EXPECT_EQ(tokenizer->encode(spans), (std::vector<Token>{2, 460}));
}

// The keys of malina's own may also stand in a file from elsewhere.
std::string error_with(const std::string& key, const format::MetadataArray& value) {
  format::Metadata metadata = metadata_of(byte_level_files());
  format::Metadata changed("x.gguf", nullptr);
  for (const auto& entry : metadata.entries())
    if (entry.key != key) changed.add(entry.key, entry.value, entry.stored);
  changed.add(key, value);
  try {
    static_cast<void>(Tokenizer::create(changed));
  } catch (const base::Error& error) {
    return std::string(base::name(error.fault())) + ": " + error.what();
  }
  return "";
}

TEST(HuggingFaceSettings, OwnKeysOfAHostileFileAreChecked) {
  EXPECT_EQ(error_with("malina.tokenizer.strip_left", {.integers = {0, -1}}),
            "corrupt_file: malina.tokenizer.strip_left has -1, which is no token");
  EXPECT_EQ(error_with("malina.tokenizer.end_token_ids", {.integers = {std::int64_t{1} << 40}}),
            "corrupt_file: malina.tokenizer.end_token_ids has 1099511627776, which is no token");
  EXPECT_EQ(error_with("malina.tokenizer.strip_right", {.strings = {"x"}}), "");
  EXPECT_EQ(error_with("malina.tokenizer.warnings", {.strings = {"\x1b[2J"}}), "");
  EXPECT_EQ(error_with("malina.tokenizer.space_prefix", {}),
            "corrupt_file: x.gguf: metadata key 'malina.tokenizer.space_prefix' is an array, not a "
            "text");
}

}  // namespace
}  // namespace malina::text::testing
