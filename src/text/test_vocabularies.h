// For tests: the shared vocabularies in every form they come in, and small ones made by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "text/tokenizer.h"

namespace malina::text::testing {

inline const std::string kVocabularies = MALINA_SOURCE_DIR "/../shared/vocab/";

inline std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

// A vocabulary as a file would hold it.
struct Pieces {
  std::vector<std::string> texts = {};
  std::vector<float> scores = {};
  std::vector<std::int64_t> types = {};
  std::vector<std::string> merges = {};
  std::string model = "llama";
  std::string pre = {};

  Token add(std::string text, std::int64_t type = 1, float score = 0) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
    return static_cast<Token>(texts.size() - 1);
  }

  // The views point into this.
  format::Metadata metadata() const {
    format::Metadata metadata;
    metadata.add("tokenizer.ggml.model", std::string_view(model));
    if (!pre.empty()) metadata.add("tokenizer.ggml.pre", std::string_view(pre));
    format::MetadataArray tokens, kinds, numbers, pairs;
    tokens.strings.assign(texts.begin(), texts.end());
    kinds.integers = types;
    numbers.numbers = scores;
    pairs.strings.assign(merges.begin(), merges.end());
    metadata.add("tokenizer.ggml.tokens", std::move(tokens));
    metadata.add("tokenizer.ggml.token_type", std::move(kinds));
    if (model == "llama") metadata.add("tokenizer.ggml.scores", std::move(numbers));
    if (model == "gpt2") metadata.add("tokenizer.ggml.merges", std::move(pairs));
    return metadata;
  }
};

inline std::uint64_t read_varint(std::string_view bytes, std::size_t& position) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; position < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[position++]);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) break;
  }
  return value;
}

// The pieces of a SentencePiece .model file: field 1 of the message, each {1: text, 2: score, 3:
// type}.
inline Pieces read_sentence_piece_model(const std::string& path) {
  const std::string file = read_file(path);
  Pieces pieces;
  for (std::size_t at = 0; at < file.size();) {
    const std::uint64_t tag = read_varint(file, at);
    if ((tag & 7) != 2) {
      ADD_FAILURE() << "field " << tag;
      break;
    }
    const std::uint64_t length = read_varint(file, at);
    const std::string_view message = std::string_view(file).substr(at, length);
    at += length;
    if (tag >> 3 != 1) continue;
    std::string text;
    float score = 0;
    std::int64_t type = 1;
    for (std::size_t inner = 0; inner < message.size();) {
      switch (read_varint(message, inner)) {
        case 0x0A: {
          const std::uint64_t size = read_varint(message, inner);
          text = message.substr(inner, size);
          inner += size;
          break;
        }
        case 0x15:
          std::memcpy(&score, message.data() + inner, 4);
          inner += 4;
          break;
        default:
          type = static_cast<std::int64_t>(read_varint(message, inner));
      }
    }
    pieces.add(text, type, score);
  }
  return pieces;
}

// A byte-level tokenizer.json.
inline Pieces read_tokenizer_json(const std::string& path, std::string pre) {
  const auto json = nlohmann::json::parse(read_file(path));
  std::map<Token, std::pair<std::string, int>> tokens;
  for (const auto& [text, id] : json["model"]["vocab"].items()) tokens[id] = {text, 1};
  for (const auto& added : json["added_tokens"])
    tokens[added["id"]] = {added["content"], added["special"].get<bool>() ? 3 : 4};
  Pieces pieces{.model = "gpt2", .pre = std::move(pre)};
  for (const auto& [id, token] : tokens) {
    EXPECT_EQ(static_cast<std::size_t>(id), pieces.texts.size());
    pieces.add(token.first, token.second);
  }
  for (const auto& merge : json["model"]["merges"]) pieces.merges.push_back(merge);
  return pieces;
}

// By file name: GGUF, SentencePiece or tokenizer.json.
inline std::shared_ptr<const Tokenizer> open_tokenizer(const std::string& name) {
  const std::string path = kVocabularies + name;
  if (name.ends_with(".gguf")) return Tokenizer::create(format::Checkpoint::open(path)->metadata());
  if (name.ends_with(".json"))
    return Tokenizer::create(read_tokenizer_json(path, "phi-2").metadata());
  return Tokenizer::create(read_sentence_piece_model(path).metadata());
}

}  // namespace malina::text::testing
