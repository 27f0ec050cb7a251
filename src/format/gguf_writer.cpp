#include "format/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"
#include "format/checked.h"
#include "format/gguf.h"
#include "format/quote.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kDefaultAlignment = 32;

class HeaderBytes {
 public:
  template <typename Number>
    requires std::integral<Number> || std::floating_point<Number>
  void number(Number value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void type(StoredType type) { number(static_cast<std::uint32_t>(type)); }
  void text(std::string_view text) {
    number(std::uint64_t{text.size()});
    raw(text);
  }
  void raw(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void pad(std::uint64_t alignment) {
    const auto size = round_up(bytes_.size(), alignment);
    if (size && *size <= bytes_.max_size()) bytes_.resize(*size);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Writes values of one metadata key; refuses what its stored type cannot hold.
class ValueWriter {
 public:
  ValueWriter(HeaderBytes& bytes, std::string_view key) : bytes_(bytes), key_(key) {}

  void write(const Metadata::Entry& entry) {
    bytes_.type(entry.stored);
    std::visit([&](const auto& value) { scalar(entry.stored, value); }, entry.value);
  }

 private:
  template <typename Stored, typename Value>
  void integer(Value value) {
    if (!std::in_range<Stored>(value))
      throw Error(Fault::invalid_argument,
                  fmt::format("metadata key {}: {} does not fit its type", in_quotes(key_), value));
    bytes_.number(static_cast<Stored>(value));
  }

  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  void scalar(StoredType type, Integer value) {
    switch (type) {
      case StoredType::u8:
        return integer<std::uint8_t>(value);
      case StoredType::i8:
        return integer<std::int8_t>(value);
      case StoredType::u16:
        return integer<std::uint16_t>(value);
      case StoredType::i16:
        return integer<std::int16_t>(value);
      case StoredType::u32:
        return integer<std::uint32_t>(value);
      case StoredType::i32:
        return integer<std::int32_t>(value);
      case StoredType::u64:
        return integer<std::uint64_t>(value);
      case StoredType::i64:
        return integer<std::int64_t>(value);
      case StoredType::boolean:
        if (value == 0 || value == 1) return bytes_.number(static_cast<std::uint8_t>(value));
        break;
      default:
        break;
    }
    throw wrong_type();
  }
  void scalar(StoredType type, double value) {
    if (type == StoredType::f32) return bytes_.number(static_cast<float>(value));
    if (type == StoredType::f64) return bytes_.number(value);
    throw wrong_type();
  }
  void scalar(StoredType type, bool value) {
    if (type != StoredType::boolean) throw wrong_type();
    bytes_.number(static_cast<std::uint8_t>(value ? 1 : 0));
  }
  void scalar(StoredType type, std::string_view value) {
    if (type != StoredType::text) throw wrong_type();
    bytes_.text(value);
  }

  void scalar(StoredType type, const MetadataArray& array) {
    const int kinds = (array.strings.empty() ? 0 : 1) + (array.integers.empty() ? 0 : 1) +
                      (array.numbers.empty() ? 0 : 1);
    if (type != StoredType::array || kinds > 1) throw wrong_type();
    const StoredType element = array.stored.value_or(usual_element(array));
    bytes_.type(element);
    bytes_.number(std::uint64_t{array.size()});
    for (const std::string_view text : array.strings) scalar(element, text);
    for (const std::int64_t value : array.integers) scalar(element, value);
    for (const float value : array.numbers) scalar(element, double{value});
  }

  static StoredType usual_element(const MetadataArray& array) {
    if (!array.strings.empty()) return StoredType::text;
    if (!array.numbers.empty()) return StoredType::f32;
    const bool narrow = std::all_of(array.integers.begin(), array.integers.end(),
                                    [](std::int64_t v) { return std::in_range<std::int32_t>(v); });
    return narrow ? StoredType::i32 : StoredType::i64;
  }

  Error wrong_type() const {
    return Error(
        Fault::invalid_argument,
        fmt::format("metadata key {}: its value is not of its stored type", in_quotes(key_)));
  }

  HeaderBytes& bytes_;
  std::string_view key_;
};

std::uint64_t alignment_of(const Metadata& metadata) {
  // An alignment that is none is left to the reader's validation.
  const auto alignment = metadata.integer("general.alignment").value_or(kDefaultAlignment);
  return std::has_single_bit(alignment) ? alignment : kDefaultAlignment;
}

std::uint64_t data_bytes(const TensorPlan& plan) {
  std::uint64_t rows = 1;
  for (std::size_t i = 1; i < plan.shape.size(); ++i)
    rows = multiply(rows, plan.shape[i]).value_or(std::numeric_limits<std::uint64_t>::max());
  const std::uint64_t columns = plan.shape.empty() ? 1 : plan.shape[0];
  return multiply(rows, plan.encoding->row_bytes(columns))
      .value_or(std::numeric_limits<std::uint64_t>::max());
}

base::Error too_large(const TensorPlan& plan) {
  return Error(Fault::invalid_argument,
               fmt::format("tensor {} does not fit into a file", in_quotes(plan.name)));
}

void write_tensor_table(HeaderBytes& header, std::span<const TensorPlan> tensors,
                        std::uint64_t alignment) {
  std::uint64_t offset = 0;
  for (const TensorPlan& plan : tensors) {
    header.text(plan.name);
    header.number(static_cast<std::uint32_t>(plan.shape.size()));
    for (const std::uint64_t length : plan.shape) header.number(length);
    header.number(plan.encoding->gguf_type);
    header.number(offset);
    const auto end = add(offset, data_bytes(plan));
    const auto next = end ? round_up(*end, alignment) : std::nullopt;
    if (!next) throw too_large(plan);
    offset = *next;
  }
}

}  // namespace

std::vector<std::byte> gguf_header(const Metadata& metadata, std::span<const TensorPlan> tensors) {
  HeaderBytes header;
  header.raw("GGUF");
  header.number(kVersion);
  header.number(std::uint64_t{tensors.size()});
  header.number(std::uint64_t{metadata.entries().size()});
  for (const Metadata::Entry& entry : metadata.entries()) {
    header.text(entry.key);
    ValueWriter(header, entry.key).write(entry);
  }
  const std::uint64_t alignment = alignment_of(metadata);
  write_tensor_table(header, tensors, alignment);
  if (!tensors.empty()) header.pad(alignment);
  return header.take();
}

GgufWriter::GgufWriter(const std::filesystem::path& target, const Metadata& metadata,
                       std::span<const TensorPlan> tensors, base::AtomicFile::Existing existing)
    : file_(target, existing), alignment_(alignment_of(metadata)) {
  const std::vector<std::byte> header = gguf_header(metadata, tensors);
  constexpr auto kAnySize = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  tensors_ = parse_gguf(header, target.string(), kAnySize).tensors;
  file_.write(header);
  position_ = header.size();
  finish_tensors();
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (next_tensor_ == tensors_.size())
    throw Error(Fault::internal, "more data was written than the tensors have");
  const TensorInfo& tensor = tensors_[next_tensor_];
  const std::uint64_t left = tensor.offset + tensor.bytes - position_;
  if (bytes.size() > left)
    throw Error(Fault::internal,
                fmt::format("{} bytes were written of tensor {}, which has {} left", bytes.size(),
                            in_quotes(tensor.name), left));
  file_.write(bytes);
  position_ += bytes.size();
  finish_tensors();
}

void GgufWriter::commit() {
  if (next_tensor_ != tensors_.size())
    throw Error(Fault::internal, fmt::format("the data of tensor {} was not written whole",
                                             in_quotes(tensors_[next_tensor_].name)));
  file_.commit();
}

// Steps over the tensors that are complete (those without data at once), each with its padding.
void GgufWriter::finish_tensors() {
  while (next_tensor_ < tensors_.size()) {
    const TensorInfo& tensor = tensors_[next_tensor_];
    if (position_ < tensor.offset + tensor.bytes) return;
    ++next_tensor_;
    // The last one is padded too: ggml reads it so.
    const std::uint64_t next = next_tensor_ < tensors_.size()
                                   ? tensors_[next_tensor_].offset
                                   : round_up(position_, alignment_).value_or(position_);
    file_.write(std::vector<std::byte>(next - position_));
    position_ = next;
  }
}

}  // namespace malina::format
