// A model file as data: metadata by key and tensors by name, validated before anything is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "math/encoding.h"

namespace malina::format {

// How a value is stored in the file, numbered as GGUF numbers it. Kept so that a copy of a file can
// be written with the types of the original.
enum class StoredType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  text = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

// A value of a GGUF metadata key. Strings are views into the mapped file, which the Metadata keeps
// alive; they are bytes, not necessarily valid UTF-8. Integers of every width are widened.
struct MetadataArray;
using MetadataValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, MetadataArray>;

struct MetadataArray {
  // At most one of these is filled, by the file's element type; booleans are integers 0 and 1, and
  // all are empty for an empty array. Numbers stored as f64 are rounded to float.
  std::vector<std::string_view> strings = {};
  std::vector<std::int64_t> integers = {};
  std::vector<float> numbers = {};
  // As the file has it; a value made in memory may leave it out.
  std::optional<StoredType> stored = {};
  std::size_t size() const { return strings.size() + integers.size() + numbers.size(); }
};

class Metadata {
 public:
  struct Entry {
    std::string key;
    MetadataValue value;
    StoredType stored;
  };

  Metadata() = default;
  // `source` is the file's name for messages; `owner` keeps alive what the string views point into.
  Metadata(std::string source, std::shared_ptr<const void> owner);

  // The caller has checked for duplicates; of two equal keys the first one is found.
  // Without a stored type the smallest usual one is taken: u32, i32, f32, else the 64-bit one.
  void add(std::string key, MetadataValue value);
  void add(std::string key, MetadataValue value, StoredType stored);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const MetadataValue* find(std::string_view key) const;       // null if absent
  std::span<const Entry> entries() const { return entries_; }  // in file order

  // Absent: nullopt. Present with another type, or (integer) not representable: throws
  // Fault::corrupt_file naming the key. integer() accepts every integer type that is not negative;
  // number() also integers.
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<std::uint64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  const MetadataArray* array(std::string_view key) const;  // null if absent

 private:
  std::string source_;
  std::shared_ptr<const void> owner_;
  std::vector<Entry> entries_;
  // An ordered map, not a hash table: keys come from a hostile file, which could be made to
  // collide.
  std::map<std::string, std::size_t, std::less<>> places_;
};

struct TensorInfo {
  std::string name;
  const math::Encoding* encoding;
  std::vector<std::uint64_t> shape;  // GGUF order: shape[0] is the contiguous dimension (columns)
  std::size_t file;                  // which of the checkpoint's files
  std::uint64_t offset;              // in that file, from its start
  std::uint64_t bytes;

  std::uint64_t columns() const { return shape.empty() ? 1 : shape[0]; }
  std::uint64_t rows() const;  // product of the other dimensions
};

// Immutable and shared; safe to read from many threads.
class Checkpoint {
 public:
  // Opens a GGUF file (or the first, or any, part of a split one: all parts are found and joined).
  // Throws base::Error: not_found, corrupt_file, unsupported, io. A message is one sentence that
  // names the file, the field and the cause.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);
  virtual ~Checkpoint() = default;

  virtual const Metadata& metadata() const = 0;
  virtual std::span<const TensorInfo> tensors() const = 0;          // in file order
  virtual const TensorInfo* find(std::string_view name) const = 0;  // null if absent
  virtual std::span<const std::filesystem::path> files() const = 0;
  virtual std::uint64_t total_bytes() const = 0;  // of all files
  virtual std::string format_name() const = 0;    // "GGUF v3", "safetensors"
  // Sentences for whoever inspects the model: what its files say that is not what is run.
  virtual std::span<const std::string> warnings() const { return {}; }

  // Throws corrupt_file where a file was cut short since it was opened, io where the disk failed:
  // strings of the metadata may then have become zeros. Called after they were used, once all of
  // them were; costs a system call a file.
  virtual void check() const = 0;

  // Reads bytes [offset, offset + output.size()) of the tensor's data with pread, so that no mapped
  // page stays resident. A file that was cut short since it was opened throws corrupt_file.
  virtual void read(const TensorInfo& tensor, std::uint64_t offset,
                    std::span<std::byte> output) const = 0;
};

}  // namespace malina::format
