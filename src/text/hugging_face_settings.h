// What the small files beside a tokenizer.json say. Private to hugging_face_tokenizer.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/hugging_face_tokenizer.h"
#include "text/tokenizer_json.h"

namespace malina::text {

// Special tokens by what they are for, as the files and GGUF name them.
struct SpecialRole {
  std::string_view name;  // "bos": bos_token, bos_token_id
  const char* key;        // of GGUF; the spelling of one is the format's own
};
constexpr std::array<SpecialRole, 7> kSpecialRoles{{
    {"bos", "tokenizer.ggml.bos_token_id"},
    {"eos", "tokenizer.ggml.eos_token_id"},
    {"unk", "tokenizer.ggml.unknown_token_id"},
    {"sep", "tokenizer.ggml.seperator_token_id"},
    {"pad", "tokenizer.ggml.padding_token_id"},
    {"cls", "tokenizer.ggml.cls_token_id"},
    {"mask", "tokenizer.ggml.mask_token_id"},
}};

struct TokenizerSettings {
  std::map<std::string, std::string, std::less<>> specials;      // role to text
  std::map<std::string, std::uint64_t, std::less<>> config_ids;  // role to id, of config.json
  std::vector<std::string> more_specials;
  std::vector<AddedToken> added;      // of tokenizer_config.json, ascending by id
  std::vector<AddedToken> old_added;  // of added_tokens.json: text and id alone
  std::optional<bool> add_bos, add_eos, space_prefix, legacy;
  std::vector<std::uint64_t> end_ids;  // ascending
  std::optional<std::uint64_t> vocabulary_size;
  std::vector<std::pair<std::string, std::string>>
      templates;  // by name; "default" is the usual one
  std::vector<std::string> warnings;
};

TokenizerSettings read_settings(const HuggingFaceFiles& files);

}  // namespace malina::text
