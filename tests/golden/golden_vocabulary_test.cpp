// The small vocabulary of the tiny models: their texts against Hugging Face tokenizers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "text/tokenizer.h"

namespace malina::text {
namespace {

const std::filesystem::path kFolder = MALINA_SOURCE_DIR "/tests/golden/tiny";

TEST(TinyVocabulary, GivesTheReferencesTokens) {
  std::size_t texts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto tokenizer = Tokenizer::create(format::Checkpoint::open(entry.path())->metadata());
    std::ifstream stream(std::filesystem::path(entry.path()).replace_extension(".json"));
    const auto index = nlohmann::json::parse(stream);
    for (const auto& prompt : index.at("prompts")) {
      if (!prompt.contains("text")) continue;
      const std::string text = prompt.at("text");
      const std::vector<Token> tokens = prompt.at("tokens");
      EXPECT_EQ(tokenizer->encode(text), tokens) << entry.path();
      EXPECT_EQ(tokenizer->decode(tokens), text) << entry.path();
      ++texts;
    }
  }
  EXPECT_EQ(texts, 18u);
}

}  // namespace
}  // namespace malina::text
