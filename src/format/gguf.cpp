#include "format/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/error.h"
#include "format/byte_cursor.h"
#include "format/checked.h"
#include "format/foreign_file.h"
#include "format/gguf_metadata.h"
#include "format/quote.h"
#include "format/tensor_type.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::size_t kLongestTensorName = 63;  // ggml keeps 64 bytes, the last one a zero
constexpr auto kMostElements = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// The smallest that the format can make of them: empty texts, no dimensions, one byte of value.
constexpr std::uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

struct Counts {
  std::uint64_t tensors, keys;
};

std::uint32_t parse_version(ByteCursor& cursor) {
  const auto version = cursor.number<std::uint32_t>();
  if (version == 2 || version == 3) return version;
  // ggml's own test: a small number with its bytes in the other order has no low half.
  if (version != 0 && (version & 0xffffU) == 0)
    throw cursor.error(Fault::unsupported,
                       "it is a big-endian GGUF file, which malina does not read");
  if (version == 1)
    throw cursor.error(
        Fault::unsupported,
        "GGUF version 1 is not read (versions 2 and 3 are): convert the model again");
  if (version == 0) cursor.fail("the version is 0");
  throw cursor.error(Fault::unsupported,
                     fmt::format("GGUF version {} is not read (versions 2 and 3 are)", version));
}

// A number of things that each take at least `least_bytes` of what is left of the file.
std::uint64_t parse_count(ByteCursor& cursor, std::string_view things) {
  const auto count = cursor.number<std::int64_t>();
  if (count < 0) cursor.fail(fmt::format("the number of {} is negative: {}", things, count));
  return static_cast<std::uint64_t>(count);
}

Counts parse_counts(ByteCursor& cursor) {
  const std::uint64_t tensors = parse_count(cursor, "tensors");
  const std::uint64_t keys = parse_count(cursor, "metadata keys");
  const auto check = [&](std::uint64_t count, std::string_view things, std::uint64_t least_bytes) {
    if (count > cursor.remaining() / least_bytes)
      cursor.fail(fmt::format("{} {} do not fit into the {} bytes that the file has left", count,
                              things, cursor.remaining()));
  };
  check(tensors, "tensors", kLeastTensorBytes);
  check(keys, "metadata keys", kLeastKeyBytes);
  return {tensors, keys};
}

std::uint64_t alignment_of(const Metadata& metadata, const ByteCursor& cursor) {
  const std::uint64_t alignment = metadata.integer("general.alignment").value_or(kDefaultAlignment);
  if (!std::has_single_bit(alignment) || alignment > std::numeric_limits<std::uint32_t>::max())
    cursor.fail(fmt::format("general.alignment is {}, which is not a power of two (of 32 bits)",
                            alignment));
  return alignment;
}

std::vector<std::uint64_t> parse_shape(ByteCursor& cursor) {
  const auto dimensions = cursor.number<std::uint32_t>();
  if (dimensions > kMostDimensions)
    cursor.fail(fmt::format("it has {} dimensions, more than {}", dimensions, kMostDimensions));
  std::vector<std::uint64_t> shape;
  shape.reserve(dimensions);
  // An empty dimension counts as 1 here, so that the product of the others is bounded as well.
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto length = cursor.number<std::int64_t>();
    if (length < 0) cursor.fail(fmt::format("dimension {} is negative: {}", i, length));
    shape.push_back(static_cast<std::uint64_t>(length));
    const auto product = multiply(elements, std::max<std::uint64_t>(shape.back(), 1));
    if (!product || *product > kMostElements)
      cursor.fail("the number of its elements does not fit into 63 bits");
    elements = *product;
  }
  return shape;
}

const math::Encoding& parse_encoding(ByteCursor& cursor) {
  const auto type = cursor.number<std::uint32_t>();
  if (const math::Encoding* encoding = math::find_encoding(type)) return *encoding;
  const std::string_view known = tensor_type_name(type);
  if (known.empty()) cursor.fail(fmt::format("its type {} is not one of the format", type));
  throw cursor.error(Fault::unsupported,
                     fmt::format("its encoding is {}, which malina does not read", known));
}

std::uint64_t data_bytes(const TensorInfo& tensor, const ByteCursor& cursor) {
  const math::Encoding& encoding = *tensor.encoding;
  if (tensor.columns() % encoding.block_values != 0)
    cursor.fail(fmt::format("its rows have {} values, not a multiple of the {} of a {} block",
                            tensor.columns(), encoding.block_values, encoding.name));
  const auto blocks = multiply(tensor.columns() / encoding.block_values, tensor.rows());
  const auto bytes = blocks ? multiply(*blocks, encoding.block_bytes) : std::nullopt;
  if (!bytes) cursor.fail("the number of its bytes does not fit into 64 bits");
  return *bytes;
}

class TensorTable {
 public:
  TensorTable(ByteCursor& cursor, MemoryBudget& budget, std::uint64_t alignment)
      : cursor_(cursor), budget_(budget), alignment_(alignment) {}

  // Offsets in the result count from the start of the data.
  std::vector<TensorInfo> parse(std::uint64_t count) {
    std::vector<TensorInfo> tensors;
    for (std::uint64_t i = 0; i < count; ++i) {
      budget_.spend(cursor_, sizeof(TensorInfo) + kMostDimensions * sizeof(std::uint64_t) +
                                 kLongestTensorName);
      tensors.push_back(parse_one(i + 1, count));
    }
    return tensors;
  }

 private:
  TensorInfo parse_one(std::uint64_t place, std::uint64_t count) {
    cursor_.enter({"tensor", {}, place, count});
    TensorInfo tensor{};
    const std::string_view name = cursor_.text();
    cursor_.enter({"tensor", name, place, count});
    if (name.size() > kLongestTensorName)
      cursor_.fail(
          fmt::format("its name has {} bytes, more than {}", name.size(), kLongestTensorName));
    tensor.name = name;
    tensor.shape = parse_shape(cursor_);
    tensor.encoding = &parse_encoding(cursor_);
    tensor.bytes = data_bytes(tensor, cursor_);
    tensor.offset = cursor_.number<std::uint64_t>();
    if (tensor.offset != next_offset_)
      cursor_.fail(fmt::format("its data is said to begin at {}, but the data before it ends at {}",
                               tensor.offset, next_offset_));
    const auto end = add(tensor.offset, tensor.bytes);
    const auto next = end ? round_up(*end, alignment_) : std::nullopt;
    if (!next) cursor_.fail("the end of its data does not fit into 64 bits");
    next_offset_ = *next;
    return tensor;
  }

  ByteCursor& cursor_;
  MemoryBudget& budget_;
  std::uint64_t alignment_;
  std::uint64_t next_offset_ = 0;
};

void check_names(const std::vector<TensorInfo>& tensors, const std::string& file) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw Error(Fault::corrupt_file,
                fmt::format("{}: two tensors have the same name, {}", file, in_quotes(*twice)));
}

// Turns offsets into those of the file, all within `file_size`.
void place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t data_offset,
                   std::uint64_t file_size, const std::string& file) {
  const TensorInfo& last = tensors.back();
  // The sum cannot wrap where the first test holds; the padding after the last tensor may be
  // absent.
  const auto end = add(data_offset, last.offset + last.bytes);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TensorInfo& tensor = tensors[i];
    const auto tensor_end = add(data_offset, tensor.offset + tensor.bytes);
    if (!tensor_end || *tensor_end > file_size)
      throw Error(
          Fault::corrupt_file,
          fmt::format("{}: tensor {} ({} of {}) ends at byte {}, after the end of the file "
                      "at byte {}: {} bytes of the file are missing, perhaps because a "
                      "download was cut short",
                      file, in_quotes(tensor.name), i + 1, tensors.size(),
                      tensor_end.value_or(std::numeric_limits<std::uint64_t>::max()), file_size,
                      end.value_or(std::numeric_limits<std::uint64_t>::max()) - file_size));
    tensor.offset += data_offset;
  }
}

}  // namespace

GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name,
                    std::uint64_t file_size, std::shared_ptr<const void> owner) {
  ByteCursor cursor(bytes, name);
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kMagic.size()));
  if (begin != kMagic)
    throw Error(Fault::corrupt_file, name + " " + describe_foreign_file(bytes, "GGUF"));
  cursor.take(kMagic.size());

  GgufFile file;
  file.version = parse_version(cursor);
  const Counts counts = parse_counts(cursor);
  MemoryBudget budget(file_size);
  file.metadata = parse_metadata(cursor, budget, counts.keys, name, std::move(owner));
  const std::uint64_t alignment = alignment_of(file.metadata, cursor);
  file.tensors = TensorTable(cursor, budget, alignment).parse(counts.tensors);
  check_names(file.tensors, name);
  if (file.tensors.empty()) return file;  // then no padding and no data follow
  // position() is bounded by the size of the file, and the alignment has 32 bits.
  file.data_offset = round_up(cursor.position(), alignment).value();
  place_tensors(file.tensors, file.data_offset, file_size, name);
  return file;
}

}  // namespace malina::format
