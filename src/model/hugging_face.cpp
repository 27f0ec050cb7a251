#include "model/hugging_face.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "format/json_reader.h"
#include "format/quote.h"
#include "format/safetensors.h"
#include "model/hugging_face_config.h"
#include "model/hugging_face_tensors.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr const char* kConfig = "config.json";
// What a tokenizer and a chat are made of, beside the weights; what is there of it.
constexpr std::array kCompanions{
    "generation_config.json",  "tokenizer.json",    "tokenizer.model",
    "tokenizer_config.json",   "vocab.json",        "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json"};

constexpr const char* kMoreTemplates = "additional_chat_templates";

bool is_there(const path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

// The directory's own name; of a path that ends in a slash or in dots too.
std::string name_of(const path& directory) {
  std::error_code failure;
  const path whole = std::filesystem::canonical(directory, failure);
  return (failure ? directory : whole).filename().string();
}

// A store calls its directories by digests, which say nothing of the model.
bool is_digest(const std::string& name) {
  constexpr std::size_t kSha256Digits = 64;
  return name.size() == kSha256Digits &&
         name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<path> companions_of(const path& directory) {
  std::vector<path> files;
  for (const char* companion : kCompanions)
    if (is_there(directory / companion)) files.push_back(directory / companion);
  std::vector<path> templates;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(directory / kMoreTemplates, failure))
    if (entry.path().extension() == ".jinja") templates.push_back(entry.path());
  std::sort(templates.begin(), templates.end());
  files.insert(files.end(), templates.begin(), templates.end());
  return files;
}

// Weights that are there in another form are told of, where there are none in this one.
void refuse_other_weights(const path& directory) {
  if (is_there(directory / "model.safetensors") ||
      is_there(directory / "model.safetensors.index.json"))
    return;
  constexpr std::array kOthers{
      std::pair{"pytorch_model.bin", "a Python pickle"},
      std::pair{"pytorch_model.bin.index.json", "Python pickles"},
      std::pair{"tf_model.h5", "a TensorFlow file"},
      std::pair{"flax_model.msgpack", "a Flax file"},
  };
  for (const auto& [name, kind] : kOthers)
    if (is_there(directory / name))
      throw Error(Fault::unsupported,
                  fmt::format("{}: the weights are {}, which malina does not read: load the model "
                              "with Transformers and save_pretrained it as safetensors",
                              (directory / name).string(), kind));
}

class HuggingFaceCheckpoint final : public format::Checkpoint {
 public:
  // `metadata` holds the keys of `sizes` and what else there is.
  HuggingFaceCheckpoint(const HuggingFaceConfig& config, HuggingFaceSizes sizes,
                        const path& directory, format::Metadata metadata)
      : weights_(format::SafetensorsModel::open(directory)),
        sizes_(std::move(sizes)),
        converted_(config, sizes_, weights_),
        metadata_(std::move(metadata)) {
    paths_.push_back(config.file());
    paths_.insert(paths_.end(), weights_.paths().begin(), weights_.paths().end());
    for (const path& companion : companions_of(directory)) paths_.push_back(companion);
    for (const path& file : paths_) total_bytes_ += std::filesystem::file_size(file);
    for (const ConvertedTensor& tensor : converted_.tensors()) {
      tensors_.push_back(tensor.info);
      if (!tensor.sources.empty()) tensors_.back().file += 1;  // after config.json
    }
    by_name_.resize(tensors_.size());
    std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
    std::sort(by_name_.begin(), by_name_.end(),
              [this](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    if (!converted_.warning().empty()) warnings_.push_back(converted_.warning());
  }

  const format::Metadata& metadata() const override { return metadata_; }
  std::span<const format::TensorInfo> tensors() const override { return tensors_; }
  std::span<const path> files() const override { return paths_; }
  std::uint64_t total_bytes() const override { return total_bytes_; }
  std::string format_name() const override { return "safetensors"; }
  std::span<const std::string> warnings() const override { return warnings_; }
  void check() const override { weights_.check(); }

  const format::TensorInfo* find(std::string_view name) const override {
    const auto place = std::lower_bound(
        by_name_.begin(), by_name_.end(), name,
        [this](std::size_t i, std::string_view n) { return tensors_[i].name < n; });
    if (place == by_name_.end() || tensors_[*place].name != name) return nullptr;
    return &tensors_[*place];
  }

  // `tensor` is one of tensors(), or a copy of one.
  void read(const format::TensorInfo& tensor, std::uint64_t offset,
            std::span<std::byte> output) const override {
    const format::TensorInfo* own = find(tensor.name);
    if (own == nullptr)
      throw Error(Fault::internal,
                  fmt::format("tensor {} is not of this model", format::in_quotes(tensor.name)));
    converted_.read(converted_.tensors()[static_cast<std::size_t>(own - tensors_.data())], offset,
                    output);
  }

 private:
  format::SafetensorsModel weights_;
  HuggingFaceSizes sizes_;
  ConvertedTensors converted_;
  format::Metadata metadata_;
  std::vector<path> paths_;
  std::vector<format::TensorInfo> tensors_;
  std::vector<std::size_t> by_name_;
  std::vector<std::string> warnings_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace

path hugging_face_directory(const path& path) {
  if (path.filename() != kConfig) return path;
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

bool is_hugging_face(const path& path) {
  if (path.filename() == kConfig) return is_there(path);
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) && is_there(path / kConfig);
}

std::shared_ptr<const format::Checkpoint> open_hugging_face(
    const path& path, const std::function<void(format::MetadataBuilder&)>& add_more) {
  const auto directory = hugging_face_directory(path);
  const auto file = directory / kConfig;
  const HuggingFaceConfig config(format::read_json_file(file), file.string());
  refuse_other_weights(directory);
  format::MetadataBuilder builder;
  HuggingFaceSizes sizes = add_sizes(config, builder);
  if (const std::string name = name_of(directory); !is_digest(name))
    builder.add_text("general.name", name);
  if (add_more) add_more(builder);
  format::Metadata metadata = builder.build(config.file());
  check_scale(config, metadata, sizes);
  return std::make_shared<HuggingFaceCheckpoint>(config, std::move(sizes), directory,
                                                 std::move(metadata));
}

}  // namespace malina::model
