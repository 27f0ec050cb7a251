#include "platform/model_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/adapter_gguf.h"
#include "model/hugging_face.h"
#include "platform/adapter_file.h"
#include "platform/model_name.h"
#include "platform/stored_file.h"
#include "text/hugging_face_tokenizer.h"

namespace malina::platform {

namespace {

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

// Tokenizer and template know nothing of files: their messages get the file's name here.
template <typename Work>
auto naming(const std::filesystem::path& path, Work work) {
  try {
    return work();
  } catch (const base::Error& error) {
    const std::string message = error.what();
    const std::string name = path.string();
    if (message.find(name) != std::string::npos) throw;
    throw base::Error(error.fault(), name + ": " + message);
  }
}

// tokenizer.chat_template is the default, tokenizer.chat_template.NAME a further one.
void compile_templates(const format::Metadata& metadata, ModelFile& file) {
  for (const auto& entry : metadata.entries()) {
    if (!entry.key.starts_with(kTemplateKey)) continue;
    std::string_view name = std::string_view(entry.key).substr(kTemplateKey.size());
    if (!name.empty() && name.front() != '.') continue;
    if (!name.empty()) name.remove_prefix(1);
    try {
      file.templates.try_emplace(std::string(name), *metadata.text(entry.key));
    } catch (const base::Error& error) {
      file.refused_templates.try_emplace(
          std::string(name), error.fault(),
          file.checkpoint->files()[0].string() + ": " + error.what());
    }
  }
}

// Otherwise a prompt could hold tokens for which there is no row.
void check_vocabulary(const ModelFile& file) {
  const auto* embedding = file.checkpoint->find("token_embd.weight");
  if (embedding == nullptr || embedding->rows() >= file.tokenizer->vocabulary_size()) return;
  throw base::Error(base::Fault::corrupt_file,
                    fmt::format("the tokenizer has {} tokens and token_embd.weight {} rows",
                                file.tokenizer->vocabulary_size(), embedding->rows()));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "big-00001-of-00003" is a part of "big".
std::string without_part(std::string stem) {
  constexpr std::string_view kForm = "-#####-of-#####";
  if (stem.size() <= kForm.size()) return stem;
  const std::size_t start = stem.size() - kForm.size();
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const char c = stem[start + i];
    if (kForm[i] == '#' ? !is_digit(c) : c != kForm[i]) return stem;
  }
  return stem.substr(0, start);
}

// "SmolLM2-135M-Instruct.Q4_1" is one of several encodings of "SmolLM2-135M-Instruct".
std::string without_encoding(const std::string& stem) {
  const std::size_t end = stem.find_last_of(".-");
  if (end == std::string::npos || end == 0) return stem;
  const std::string last = sanitised_name(std::string_view(stem).substr(end + 1));
  const std::string_view rest = std::string_view(last).substr(last.starts_with("iq") ? 1 : 0);
  const bool quantised = rest.size() >= 4 && rest[0] == 'q' && is_digit(rest[1]) && rest[2] == '_';
  const bool plain =
      last == "f32" || last == "f16" || last == "bf16" || last == "fp16" || last == "mxfp4";
  return quantised || plain ? stem.substr(0, end) : stem;
}

std::string model_stem(const std::filesystem::path& file) {
  return without_encoding(without_part(file.stem().string()));
}

// Names that tools give to any model, or that are digests.
bool says_nothing(const std::string& stem) {
  const std::string name = sanitised_name(stem);
  constexpr std::size_t kLongHex = 32;
  return name.empty() || name == "model" || name == "ggml-model" || name.starts_with("sha256") ||
         (name.size() >= kLongHex &&
          name.find_first_not_of("0123456789abcdef") == std::string::npos);
}

// Of the directory; where a hub's cache names it by a digest, of the repository it belongs to:
// models--Qwen--Qwen3-0.6B/snapshots/1208a6e...
std::string name_of_directory(const std::filesystem::path& directory) {
  std::error_code failure;
  const auto whole = std::filesystem::canonical(directory, failure);
  if (failure) return "";
  if (whole.parent_path().filename() != "snapshots") return whole.filename().string();
  const std::string repository = whole.parent_path().parent_path().filename().string();
  const std::size_t end = repository.rfind("--");
  return end == std::string::npos ? repository : repository.substr(end + 2);
}

std::shared_ptr<const format::Checkpoint> open_checkpoint(const std::filesystem::path& path) {
  if (!model::is_hugging_face(path)) return format::Checkpoint::open(path);
  return model::open_hugging_face(path, [&](format::MetadataBuilder& metadata) {
    text::add_hugging_face_tokenizer(model::hugging_face_directory(path), metadata);
  });
}

}  // namespace

std::shared_ptr<const ModelFile> open_model_file(const std::filesystem::path& path) {
  return naming(path, [&] {
    auto file = std::make_shared<ModelFile>();
    file->checkpoint = open_checkpoint(path);
    if (model::is_gguf_adapter(file->checkpoint->metadata())) throw adapter_is_no_model(path);
    file->tokenizer = text::Tokenizer::create(file->checkpoint->metadata());
    check_vocabulary(*file);
    compile_templates(file->checkpoint->metadata(), *file);
    return file;
  });
}

void check_model_path(const std::filesystem::path& path) {
  if (model::is_hugging_face(path)) return;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw base::Error(base::Fault::invalid_argument,
                      path.string() + " is a directory without config.json, not a model");
  file_facts(path);
}

std::string family(const format::Checkpoint& checkpoint) {
  if (const auto name = checkpoint.metadata().text("general.architecture"))
    return std::string(*name);
  if (checkpoint.tensors().empty()) return "";
  throw base::Error(base::Fault::corrupt_file,
                    checkpoint.files().front().string() + ": general.architecture is missing");
}

std::vector<EncodingShare> encoding_shares(const format::Checkpoint& checkpoint) {
  std::vector<EncodingShare> shares;
  for (const auto& tensor : checkpoint.tensors()) {
    auto share = std::find_if(shares.begin(), shares.end(), [&](const EncodingShare& other) {
      return other.encoding == tensor.encoding->name;
    });
    if (share == shares.end())
      share = shares.insert(shares.end(), {.encoding = std::string(tensor.encoding->name)});
    ++share->tensors;
    share->parameters += tensor.rows() * tensor.columns();
    share->bytes += tensor.bytes;
  }
  std::stable_sort(shares.begin(), shares.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return shares;
}

std::string name_from_file(const std::filesystem::path& file) {
  const std::string stem = model_stem(file);
  return says_nothing(stem) ? "" : sanitised_name(stem);
}

std::string default_name(const format::Checkpoint& checkpoint) {
  const std::filesystem::path& first = checkpoint.files().front();
  if (model::is_hugging_face(first)) {
    const std::string name = name_of_directory(first.parent_path());
    return says_nothing(name) ? "" : sanitised_name(name);
  }
  if (const std::string name = name_from_file(first); !name.empty()) return name;
  const auto text = [&](std::string_view key) {
    return std::string(checkpoint.metadata().text(key).value_or(""));
  };
  std::string name = sanitised_name(text("general.name"));
  if (name.empty() && !text("general.basename").empty())
    name = sanitised_name(text("general.basename") + " " + text("general.size_label") + " " +
                          text("general.finetune"));
  return name.empty() ? sanitised_name(model_stem(first)) : name;
}

}  // namespace malina::platform
