// The tokenizer of a model as the files of a Hugging Face directory: the inverse of
// text/hugging_face_tokenizer.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace malina::text {

struct ExportedTokenizer {
  struct File {
    std::string name, content;
  };
  // tokenizer.json, or tokenizer.model of a SentencePiece model whose merges are not known; and
  // tokenizer_config.json with the chat templates.
  std::vector<File> files;
  // For config.json and generation_config.json; empty: none.
  std::vector<std::uint64_t> bos, eos, padding;
};

// Throws base::Error: corrupt_file, and unsupported where the files have no words for a rule; the
// message names it.
ExportedTokenizer export_hugging_face_tokenizer(const format::Metadata& metadata);

// The expressions by which the rule of this name in tokenizer.ggml.pre cuts text, as lines, one
// applied to the pieces of the one before; empty where no file of the kind has such a rule.
std::string pre_tokenizer_expressions(std::string_view name);

}  // namespace malina::text
