#include "format/gguf_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace malina::format {

namespace {

constexpr std::uint64_t kLeastBudget = std::uint64_t{64} << 20;
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 30;  // of an array, as ggml has it
constexpr std::size_t kLongestKey = 65535;                       // by the specification
// A node of the index and the key in it.
constexpr std::uint64_t kIndexBytes = 96;

StoredType parse_type(ByteCursor& cursor) {
  const auto type = cursor.number<std::uint32_t>();
  if (type > static_cast<std::uint32_t>(StoredType::f64))
    cursor.fail(fmt::format("its type {} is not one of the format", type));
  return static_cast<StoredType>(type);
}

bool parse_boolean(ByteCursor& cursor) {
  const auto value = cursor.number<std::uint8_t>();
  if (value > 1) cursor.fail(fmt::format("a boolean is {}, neither 0 nor 1", value));
  return value == 1;
}

std::uint64_t stored_bytes(StoredType type) {
  switch (type) {
    case StoredType::u8:
    case StoredType::i8:
    case StoredType::boolean:
      return 1;
    case StoredType::u16:
    case StoredType::i16:
      return 2;
    case StoredType::u32:
    case StoredType::i32:
    case StoredType::f32:
      return 4;
    case StoredType::u64:
    case StoredType::i64:
    case StoredType::f64:
    case StoredType::text:
      return 8;  // a text has at least its length
    case StoredType::array:
      return 12;
  }
  return 1;
}

class ArrayParser {
 public:
  ArrayParser(ByteCursor& cursor, MemoryBudget& budget) : cursor_(cursor), budget_(budget) {}

  MetadataArray parse() {
    const StoredType element = parse_type(cursor_);
    if (element == StoredType::array)
      throw cursor_.error(base::Fault::unsupported,
                          "it is an array of arrays, which malina does not read");
    const auto count = cursor_.number<std::uint64_t>();
    if (count > kMostElements)
      cursor_.fail(fmt::format("its {} elements are more than the format allows", count));
    if (count > cursor_.remaining() / stored_bytes(element))
      cursor_.fail(
          fmt::format("its {} elements do not fit into the {} bytes that the file has left", count,
                      cursor_.remaining()));
    MetadataArray array;
    array.stored = element;
    fill(array, element, count);
    return array;
  }

 private:
  void fill(MetadataArray& array, StoredType element, std::uint64_t count) {
    switch (element) {
      case StoredType::u8:
        return integers<std::uint8_t>(array, count);
      case StoredType::i8:
        return integers<std::int8_t>(array, count);
      case StoredType::u16:
        return integers<std::uint16_t>(array, count);
      case StoredType::i16:
        return integers<std::int16_t>(array, count);
      case StoredType::u32:
        return integers<std::uint32_t>(array, count);
      case StoredType::i32:
        return integers<std::int32_t>(array, count);
      case StoredType::u64:
        return integers<std::uint64_t>(array, count);
      case StoredType::i64:
        return integers<std::int64_t>(array, count);
      case StoredType::f32:
        return numbers<float>(array, count);
      case StoredType::f64:
        return numbers<double>(array, count);
      case StoredType::boolean:
        return booleans(array, count);
      case StoredType::text:
        return texts(array, count);
      case StoredType::array:
        return;
    }
  }

  template <typename Integer>
  void integers(MetadataArray& array, std::uint64_t count) {
    budget_.spend(cursor_, count * sizeof(std::int64_t));
    array.integers.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto value = cursor_.number<Integer>();
      if (!std::in_range<std::int64_t>(value))
        throw cursor_.error(base::Fault::unsupported,
                            fmt::format("element {} is {}, more than 63 bits", i, value));
      array.integers.push_back(static_cast<std::int64_t>(value));
    }
  }

  template <typename Number>
  void numbers(MetadataArray& array, std::uint64_t count) {
    budget_.spend(cursor_, count * sizeof(float));
    array.numbers.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i)
      array.numbers.push_back(static_cast<float>(cursor_.number<Number>()));
  }

  void booleans(MetadataArray& array, std::uint64_t count) {
    budget_.spend(cursor_, count * sizeof(std::int64_t));
    array.integers.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i)
      array.integers.push_back(parse_boolean(cursor_) ? 1 : 0);
  }

  void texts(MetadataArray& array, std::uint64_t count) {
    budget_.spend(cursor_, count * sizeof(std::string_view));
    // Its bytes are not yet known to be there: what is reserved stays below what the file has left.
    array.strings.reserve(
        std::min<std::uint64_t>(count, cursor_.remaining() / sizeof(std::string_view)));
    for (std::uint64_t i = 0; i < count; ++i) array.strings.push_back(cursor_.text());
  }

  ByteCursor& cursor_;
  MemoryBudget& budget_;
};

MetadataValue parse_value(ByteCursor& cursor, MemoryBudget& budget, StoredType type) {
  switch (type) {
    case StoredType::u8:
      return std::uint64_t{cursor.number<std::uint8_t>()};
    case StoredType::u16:
      return std::uint64_t{cursor.number<std::uint16_t>()};
    case StoredType::u32:
      return std::uint64_t{cursor.number<std::uint32_t>()};
    case StoredType::u64:
      return cursor.number<std::uint64_t>();
    case StoredType::i8:
      return std::int64_t{cursor.number<std::int8_t>()};
    case StoredType::i16:
      return std::int64_t{cursor.number<std::int16_t>()};
    case StoredType::i32:
      return std::int64_t{cursor.number<std::int32_t>()};
    case StoredType::i64:
      return cursor.number<std::int64_t>();
    case StoredType::f32:
      return double{cursor.number<float>()};
    case StoredType::f64:
      return cursor.number<double>();
    case StoredType::boolean:
      return parse_boolean(cursor);
    case StoredType::text:
      return cursor.text();
    case StoredType::array:
      break;
  }
  return ArrayParser(cursor, budget).parse();
}

}  // namespace

MemoryBudget::MemoryBudget(std::uint64_t file_size) : left_(std::max(file_size, kLeastBudget)) {}

void MemoryBudget::spend(const ByteCursor& cursor, std::uint64_t bytes) {
  if (bytes > left_)
    throw cursor.error(base::Fault::unsupported,
                       "metadata and tensor table would take more memory than the file has bytes");
  left_ -= bytes;
}

Metadata parse_metadata(ByteCursor& cursor, MemoryBudget& budget, std::uint64_t count,
                        const std::string& source, std::shared_ptr<const void> owner) {
  Metadata metadata(source, std::move(owner));
  for (std::uint64_t i = 0; i < count; ++i) {
    cursor.enter({"metadata key", {}, i + 1, count});
    const std::string_view key = cursor.text();
    cursor.enter({"metadata key", key, i + 1, count});
    if (key.empty()) cursor.fail("the key is empty");
    if (key.size() > kLongestKey)
      cursor.fail(fmt::format("the key has {} bytes, more than {}", key.size(), kLongestKey));
    if (metadata.contains(key)) cursor.fail("the key stands twice in the file");
    budget.spend(cursor, sizeof(Metadata::Entry) + kIndexBytes + 2 * key.size());
    const StoredType type = parse_type(cursor);
    metadata.add(std::string(key), parse_value(cursor, budget, type), type);
  }
  return metadata;
}

}  // namespace malina::format
