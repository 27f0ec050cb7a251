// The safetensors format: one file parsed and validated, and the files of a model together.
//
// Source: README.md and safetensors/src/tensor.rs of huggingface/safetensors. Everything that these
// refuse is refused here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "math/encoding.h"

namespace malina::format {

struct SafetensorsTensor {
  std::string name;
  std::string_view type;             // "BF16", as the format names it
  const math::Encoding* encoding;    // of F32, F16 and BF16; null of all other types
  std::vector<std::uint64_t> shape;  // row-major: the last dimension is the contiguous one
  std::size_t file = 0;              // which of a model's files
  std::uint64_t offset = 0;          // in that file, from its start
  std::uint64_t bytes = 0;
};

// The tensors of a file, in the order of their data, which they cover without gap from the end of
// the header to the end of the file. `bytes` is the file from its start, or at least its header;
// `file_size` is the size of the whole; `name` is for messages. Names are unique. Throws
// corrupt_file or unsupported; what is allocated is bounded by the size of the header.
std::vector<SafetensorsTensor> parse_safetensors(std::span<const std::byte> bytes,
                                                 const std::string& name, std::uint64_t file_size);

// Which file holds a tensor: the `weight_map` of model.safetensors.index.json, whose text this is.
// Every file's name is a plain one that ends in .safetensors, so that no index reaches out of its
// directory. Throws corrupt_file or unsupported.
std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                     const std::string& name);

// The weights of a directory: model.safetensors or, where there is none, the files that
// model.safetensors.index.json names. Immutable; safe to read from many threads.
class SafetensorsModel {
 public:
  // Throws base::Error: not_found where the directory has neither file or a shard is missing;
  // corrupt_file also where the index and the shards disagree about any tensor; unsupported; io.
  static SafetensorsModel open(const std::filesystem::path& directory);
  // One file of any name.
  static SafetensorsModel open_file(const std::filesystem::path& file);

  std::span<const SafetensorsTensor> tensors() const { return tensors_; }  // by name
  const SafetensorsTensor* find(std::string_view name) const;              // null if absent
  std::size_t shards() const { return files_.size(); }
  std::string file_name(const SafetensorsTensor& tensor) const;
  // The shards, then the index where it was used.
  std::span<const std::filesystem::path> paths() const { return paths_; }
  std::uint64_t total_bytes() const;  // of the shards

  // Bytes [offset, offset + output.size()) of the tensor's data. A file that was cut short since it
  // was opened throws corrupt_file.
  void read(const SafetensorsTensor& tensor, std::uint64_t offset,
            std::span<std::byte> output) const;
  // Throws corrupt_file where a file has another size than when it was opened.
  void check() const;

 private:
  void add(const std::filesystem::path& path);
  void sort_and_check(const std::map<std::string, std::string>* index);

  std::vector<base::File> files_;
  std::vector<std::uint64_t> sizes_;
  std::vector<std::filesystem::path> paths_;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace malina::format
