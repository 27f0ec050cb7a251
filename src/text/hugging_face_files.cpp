#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"
#include "text/hugging_face_tokenizer.h"

namespace malina::text {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::Fault;

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

std::optional<HuggingFaceFiles::File> read(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error) && !error) return std::nullopt;
  const base::File file = base::File::open(path);
  const std::uint64_t size = file.size();
  if (size > kMostBytes)
    throw Error(Fault::unsupported, file.name() + ": the file is larger than any of its kind");
  return HuggingFaceFiles::File{file.name(), base::read_text(file, size)};
}

}  // namespace

HuggingFaceFiles read_hugging_face_files(const fs::path& directory) {
  HuggingFaceFiles files;
  files.tokenizer_json = read(directory / "tokenizer.json");
  files.tokenizer_model = read(directory / "tokenizer.model");
  if (!files.tokenizer_json && !files.tokenizer_model)
    throw Error(Fault::not_found, directory.string() +
                                      ": there is no tokenizer: neither tokenizer.json nor "
                                      "tokenizer.model");
  files.tokenizer_config = read(directory / "tokenizer_config.json");
  files.special_tokens_map = read(directory / "special_tokens_map.json");
  files.added_tokens = read(directory / "added_tokens.json");
  files.generation_config = read(directory / "generation_config.json");
  files.config = read(directory / "config.json");
  files.chat_template = read(directory / "chat_template.jinja");
  files.chat_template_json = read(directory / "chat_template.json");
  std::error_code error;
  for (fs::directory_iterator entry(directory / "additional_chat_templates", error), end;
       !error && entry != end; entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.extension() != ".jinja") continue;
    if (auto file = read(path)) files.more_templates.emplace_back(path.stem().string(), *file);
  }
  std::sort(files.more_templates.begin(), files.more_templates.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return files;
}

}  // namespace malina::text
