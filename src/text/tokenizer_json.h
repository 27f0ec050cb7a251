// tokenizer.json of Hugging Face tokenizers as data: a BPE model and the steps around it.
//
// Formula and defaults: tokenizers/src (tokenizer/serialization.rs, models/bpe/serialization.rs) of
// huggingface/tokenizers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace malina::text {

// More tokens than any model has; bounds what a small file can make of gaps between ids.
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 21;

// A token that is looked for in the text before anything else is done to it.
struct AddedToken {
  std::string content;
  std::uint64_t id = 0;
  bool special = false;
  bool normalized = false;   // looked for in the text behind the normalizer
  bool strip_left = false;   // takes the white space before it
  bool strip_right = false;  // and behind it
  bool single_word = false;  // only where no word goes on at its ends
};

struct TokenizerJson {
  struct Merge {
    std::string text;  // "LEFT RIGHT"
    std::size_t left;  // bytes of LEFT
    std::string_view left_piece() const { return std::string_view(text).substr(0, left); }
    std::string_view right_piece() const { return std::string_view(text).substr(left + 1); }
  };
  struct Token {
    std::string text;
    std::uint64_t id;
  };

  std::vector<Token> vocabulary;  // in the file's order; ids may repeat and have gaps
  std::vector<Merge> merges;
  std::optional<std::string> unknown;
  bool fuse_unknown = false, byte_fallback = false, ignore_merges = false;
  std::vector<AddedToken> added;
  nlohmann::json normalizer, pre_tokenizer, post_processor, decoder;  // null where there is none
};

// `name` is the file's, for messages. Throws base::Error: corrupt_file, or unsupported for models
// other than BPE and for options of BPE that malina does not have; each names the field.
TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& name);

// The fields of one added token. `where` begins the message of an error.
AddedToken read_added_token(const nlohmann::json& fields, const std::string& where);

}  // namespace malina::text
