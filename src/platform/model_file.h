// A model's file opened and checked as far as that goes without its weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/checkpoint.h"
#include "platform/encoding_share.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace malina::platform {

// Immutable; shared by all that use the model.
struct ModelFile {
  std::shared_ptr<const format::Checkpoint> checkpoint;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  // By name; "" is the model's default. Often empty.
  std::map<std::string, text::ChatTemplate, std::less<>> templates;
  // Those that this program cannot render, by name, and why. An import refuses them; what needs no
  // template, or brings its own, does not care.
  std::map<std::string, base::Error, std::less<>> refused_templates;
};

// `path`: a GGUF file, or any part of a split one; a Hugging Face directory, or the config.json in
// it. Reads and checks the header and the tokenizer, and reads every chat template. A failure is a
// base::Error that begins with the file's path: not_found, corrupt_file, unsupported, io.
std::shared_ptr<const ModelFile> open_model_file(const std::filesystem::path& path);

// Throws base::Error where the path can be no model: not_found, io, or invalid_argument where it is
// a pipe, a device or a directory without config.json.
void check_model_path(const std::filesystem::path& path);

// general.architecture; throws corrupt_file where a file that has weights does not say.
std::string family(const format::Checkpoint& checkpoint);

// By bytes, most first.
std::vector<EncodingShare> encoding_shares(const format::Checkpoint& checkpoint);

// The part of default_name() that comes from the file's name; "" where that says nothing.
std::string name_from_file(const std::filesystem::path& file);

// A store's name for the model: of what it calls itself, otherwise of its file; of a directory,
// that one's name. "" where there is none.
std::string default_name(const format::Checkpoint& checkpoint);

}  // namespace malina::platform
