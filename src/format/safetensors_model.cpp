// The safetensors files of a directory, joined.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/text_file.h"
#include "format/quote.h"
#include "format/safetensors.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::uint64_t kLargestIndex = std::uint64_t{64} << 20;
constexpr std::size_t kMostShards = 512;  // each keeps a file open

bool is_there(const path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

std::map<std::string, std::string> read_index(const path& file) {
  return parse_shard_index(base::read_small_file(file, kLargestIndex), file.string());
}

std::vector<std::byte> read_header(const base::File& file, std::uint64_t size) {
  constexpr std::uint64_t kBegin = 64;  // enough for the length, and to tell a file of another kind
  std::vector<std::byte> bytes(std::min(size, kBegin));
  file.read_at(0, bytes);
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) return bytes;
  std::memcpy(&length, bytes.data(), sizeof length);
  // A length that cannot be is left to the parser, which refuses it.
  constexpr std::uint64_t kLongest = 100'000'000;
  if (length > kLongest || length > size - sizeof length) return bytes;
  bytes.resize(sizeof length + length);
  file.read_at(0, bytes);
  return bytes;
}

}  // namespace

SafetensorsModel SafetensorsModel::open(const path& directory) {
  SafetensorsModel model;
  if (is_there(directory / kSingle)) {
    model.add(directory / kSingle);
    model.sort_and_check(nullptr);
    return model;
  }
  const path index_file = directory / kIndex;
  if (!is_there(index_file))
    throw Error(Fault::not_found,
                fmt::format("{}: has neither {} nor {}", directory.string(), kSingle, kIndex));
  const auto index = read_index(index_file);
  std::set<std::string> shards;
  for (const auto& [tensor, file] : index) shards.insert(file);
  if (shards.size() > kMostShards)
    throw Error(Fault::unsupported, fmt::format("{}: names {} files, more than {}",
                                                index_file.string(), shards.size(), kMostShards));
  for (const std::string& shard : shards) {
    if (!is_there(directory / shard))
      throw Error(Fault::not_found,
                  fmt::format("{} is missing: {} names it", (directory / shard).string(), kIndex));
    model.add(directory / shard);
  }
  model.sort_and_check(&index);
  model.paths_.push_back(index_file);
  return model;
}

SafetensorsModel SafetensorsModel::open_file(const path& file) {
  SafetensorsModel model;
  model.add(file);
  model.sort_and_check(nullptr);
  return model;
}

void SafetensorsModel::add(const path& path) {
  base::File file = base::File::open(path);
  const std::uint64_t size = file.size();
  auto tensors = parse_safetensors(read_header(file, size), file.name(), size);
  for (SafetensorsTensor& tensor : tensors) {
    tensor.file = files_.size();
    tensors_.push_back(std::move(tensor));
  }
  files_.push_back(std::move(file));
  sizes_.push_back(size);
  paths_.push_back(path);
}

// Sorts by name; a tensor stands in one file, and that is the one that the index names.
void SafetensorsModel::sort_and_check(const std::map<std::string, std::string>* index) {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < tensors_.size(); ++i)
    if (tensors_[i - 1].name == tensors_[i].name)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: tensor {} stands in {} as well", file_name(tensors_[i - 1]),
                              in_quotes(tensors_[i].name), file_name(tensors_[i])));
  if (index == nullptr) return;
  for (const SafetensorsTensor& tensor : tensors_)
    if (!index->contains(tensor.name))
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: holds tensor {}, which {} does not name", file_name(tensor),
                              in_quotes(tensor.name), kIndex));
  for (const auto& [name, file] : *index) {
    const SafetensorsTensor* tensor = find(name);
    if (tensor == nullptr || paths_[tensor->file].filename() != file)
      throw Error(
          Fault::corrupt_file,
          fmt::format("{}: tensor {} is not in it, where {} says it is",
                      (paths_.front().parent_path() / file).string(), in_quotes(name), kIndex));
  }
}

const SafetensorsTensor* SafetensorsModel::find(std::string_view name) const {
  const auto place = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const SafetensorsTensor& tensor, std::string_view n) { return tensor.name < n; });
  return place == tensors_.end() || place->name != name ? nullptr : &*place;
}

std::string SafetensorsModel::file_name(const SafetensorsTensor& tensor) const {
  return paths_[tensor.file].string();
}

std::uint64_t SafetensorsModel::total_bytes() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t size : sizes_) sum += size;
  return sum;
}

void SafetensorsModel::read(const SafetensorsTensor& tensor, std::uint64_t offset,
                            std::span<std::byte> output) const {
  if (offset > tensor.bytes || output.size() > tensor.bytes - offset)
    throw Error(Fault::internal,
                fmt::format("{} bytes at {} were asked of tensor {}, which has {}", output.size(),
                            offset, in_quotes(tensor.name), tensor.bytes));
  files_[tensor.file].read_at(tensor.offset + offset, output);
}

void SafetensorsModel::check() const {
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (const std::uint64_t now = files_[i].size(); now != sizes_[i])
      throw Error(Fault::corrupt_file,
                  fmt::format("{} changed while being read: it has {} bytes instead of {}",
                              files_[i].name(), now, sizes_[i]));
}

}  // namespace malina::format
