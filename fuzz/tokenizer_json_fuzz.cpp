// The JSON files of a Hugging Face tokenizer, with zero bytes between them: tokenizer.json,
// tokenizer_config.json, config.json, generation_config.json, special_tokens_map.json and
// added_tokens.json.
#include <array>
#include <optional>
#include <string>

#include "hugging_face_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using malina::text::HuggingFaceFiles;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  HuggingFaceFiles files;
  const std::array<std::pair<const char*, std::optional<HuggingFaceFiles::File>*>, 6> places{{
      {"tokenizer.json", &files.tokenizer_json},
      {"tokenizer_config.json", &files.tokenizer_config},
      {"config.json", &files.config},
      {"generation_config.json", &files.generation_config},
      {"special_tokens_map.json", &files.special_tokens_map},
      {"added_tokens.json", &files.added_tokens},
  }};
  for (const auto& [name, place] : places) {
    const std::string_view text = rest.substr(0, rest.find('\0'));
    if (place == &files.tokenizer_json || !text.empty())
      *place = HuggingFaceFiles::File{name, std::string(text)};
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
  }
  malina::fuzz::check_files(files);
  return 0;
}
