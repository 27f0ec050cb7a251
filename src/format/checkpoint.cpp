#include "format/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/file_map.h"
#include "format/gguf.h"
#include "format/quote.h"
#include "format/split.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;

struct Part {
  std::shared_ptr<const base::FileMap> map;
  GgufFile content;
};

Part open_part(const std::filesystem::path& path) {
  auto map = std::make_shared<const base::FileMap>(base::File::open(path));
  try {
    GgufFile content = parse_gguf(map->bytes(), path.string(), map->bytes().size(), map);
    map->check();
    return {std::move(map), std::move(content)};
  } catch (const Error&) {
    // A file that shrank meanwhile reads as zeros: its own message is the true one.
    map->check();
    throw;
  }
}

// The other parts of a split model beside the one that is open already, in order.
std::vector<Part> open_parts(Part given, const SplitKeys& keys) {
  const std::filesystem::path path = given.map->file().path();
  const auto paths = split_paths(path, keys);
  std::vector<Part> parts;
  std::uint64_t tensors = 0;
  for (std::uint64_t i = 0; i < keys.count; ++i) {
    parts.push_back(i == keys.part ? std::move(given) : open_part(paths[i]));
    const std::string name = paths[i].string();
    const auto own = split_keys(parts.back().content.metadata, name);
    if (!own || own->part != i || own->count != keys.count)
      throw Error(Fault::corrupt_file,
                  fmt::format("{} does not say that it is part {} of {}, but its name does", name,
                              i + 1, keys.count));
    if (own->tensors != keys.tensors)
      throw Error(Fault::corrupt_file,
                  fmt::format("{} and {} are not of the same model: their metadata key "
                              "'split.tensors.count' differs",
                              name, path.string()));
    tensors += parts.back().content.tensors.size();
  }
  if (keys.tensors && *keys.tensors != tensors)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: the model has {} tensors in its {} parts, but metadata key "
                            "'split.tensors.count' says {}",
                            path.string(), tensors, keys.count, *keys.tensors));
  return parts;
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(std::vector<Part> parts)
      : metadata_(std::move(parts.front().content.metadata)),
        version_(parts.front().content.version) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      for (TensorInfo& tensor : parts[i].content.tensors) {
        tensor.file = i;
        tensors_.push_back(std::move(tensor));
      }
      paths_.push_back(parts[i].map->file().path());
      total_bytes_ += parts[i].map->bytes().size();
      maps_.push_back(std::move(parts[i].map));
    }
    by_name_.resize(tensors_.size());
    std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
    std::sort(by_name_.begin(), by_name_.end(),
              [this](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    check_names();
  }

  const Metadata& metadata() const override { return metadata_; }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  std::span<const std::filesystem::path> files() const override { return paths_; }
  std::uint64_t total_bytes() const override { return total_bytes_; }
  std::string format_name() const override { return fmt::format("GGUF v{}", version_); }

  void check() const override {
    for (const auto& map : maps_) map->check();
  }

  const TensorInfo* find(std::string_view name) const override {
    const auto place = std::lower_bound(
        by_name_.begin(), by_name_.end(), name,
        [this](std::size_t i, std::string_view n) { return tensors_[i].name < n; });
    if (place == by_name_.end() || tensors_[*place].name != name) return nullptr;
    return &tensors_[*place];
  }

  void read(const TensorInfo& tensor, std::uint64_t offset,
            std::span<std::byte> output) const override {
    if (tensor.file >= maps_.size() || offset > tensor.bytes ||
        output.size() > tensor.bytes - offset)
      throw Error(Fault::internal,
                  fmt::format("{} bytes at {} were asked of tensor {}, which has {}", output.size(),
                              offset, in_quotes(tensor.name), tensor.bytes));
    maps_[tensor.file]->file().read_at(tensor.offset + offset, output);
  }

 private:
  // Within a file they are unique already.
  void check_names() const {
    const auto twice = std::adjacent_find(
        by_name_.begin(), by_name_.end(),
        [this](std::size_t a, std::size_t b) { return tensors_[a].name == tensors_[b].name; });
    if (twice == by_name_.end()) return;
    const TensorInfo& tensor = tensors_[*twice];
    throw Error(
        Fault::corrupt_file,
        fmt::format("{}: tensor {} stands in {} as well", paths_[tensor.file].string(),
                    in_quotes(tensor.name), paths_[tensors_[*std::next(twice)].file].string()));
  }

  Metadata metadata_;
  std::uint32_t version_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> by_name_;
  std::vector<std::filesystem::path> paths_;
  std::vector<std::shared_ptr<const base::FileMap>> maps_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace

std::uint64_t TensorInfo::rows() const {
  if (shape.empty()) return 1;
  return std::accumulate(shape.begin() + 1, shape.end(), std::uint64_t{1},
                         std::multiplies<std::uint64_t>());
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  Part given = open_part(path);
  const auto keys = split_keys(given.content.metadata, path.string());
  std::vector<Part> parts;
  if (keys)
    parts = open_parts(std::move(given), *keys);
  else
    parts.push_back(std::move(given));
  return std::make_shared<GgufCheckpoint>(std::move(parts));
}

}  // namespace malina::format
