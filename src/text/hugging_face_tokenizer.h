// The tokenizer of a Hugging Face directory, as the metadata of a GGUF file.
//
// What llama.cpp's converter writes for it (convert_hf_to_gguf.py, gguf-py/gguf/vocab.py) is
// written here, and with it, under keys of malina's own, what GGUF has no key for: then the ids are
// those of Transformers. docs/reference/tokenizers.md lists the files, who wins where they
// disagree, and the keys.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/metadata_builder.h"

namespace malina::text {

// The files, as far as they are there.
struct HuggingFaceFiles {
  struct File {
    std::string name;  // for messages
    std::string text;
  };
  std::optional<File> tokenizer_json, tokenizer_model, tokenizer_config, special_tokens_map,
      added_tokens, generation_config, config, chat_template, chat_template_json;
  std::vector<std::pair<std::string, File>> more_templates;  // by name
};

// Throws not_found where the directory has neither tokenizer.json nor tokenizer.model; what
// base::File throws; unsupported where a file is too large to be what its name says.
HuggingFaceFiles read_hugging_face_files(const std::filesystem::path& directory);

// Adds tokenizer.* and malina.tokenizer.* keys, none of which are there. What the files disagree
// about without harm becomes a warning (malina.tokenizer.warnings), which the tokenizer repeats.
// Throws base::Error: corrupt_file or unsupported; the message names the file, the field and the
// cause.
void add_hugging_face_tokenizer(const HuggingFaceFiles& files, format::MetadataBuilder& metadata);
void add_hugging_face_tokenizer(const std::filesystem::path& directory,
                                format::MetadataBuilder& metadata);

}  // namespace malina::text
