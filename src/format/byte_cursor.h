// Reads a hostile file from front to back: every read is bounded by the bytes that are there, and
// every failure says in which field of which file it happened.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace malina::format {

// The part of the file that is being read, for messages: "metadata key 'x' (3 of 24)".
struct Field {
  std::string_view kind;       // "header", "metadata key", "tensor"
  std::string_view name = {};  // empty while it is not known yet
  std::uint64_t place = 0;     // counted from 1; 0 where there is only one
  std::uint64_t count = 0;
};

// Borrows the bytes and the name. The file is little-endian, and so is every machine we build for.
class ByteCursor {
 public:
  ByteCursor(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  void enter(const Field& field) { field_ = field; }
  const Field& field() const { return field_; }
  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename Number>
    requires std::integral<Number> || std::floating_point<Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  // `count` bytes of the file itself.
  std::span<const std::byte> take(std::uint64_t count) {
    if (count > remaining()) fail_short(count);
    const auto bytes = bytes_.subspan(position_, count);
    position_ += count;
    return bytes;
  }

  // A u64 length and as many bytes, as a view into the file.
  std::string_view text() {
    const auto length = number<std::uint64_t>();
    if (length > kLongestText) fail_text(length);
    const auto bytes = take(length);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // "FILE: metadata key 'x' (3 of 24), at byte 1234: cause"
  base::Error error(base::Fault fault, std::string_view cause) const;
  [[noreturn]] void fail(std::string_view cause) const {
    throw error(base::Fault::corrupt_file, cause);
  }

 private:
  static constexpr std::uint64_t kLongestText = std::uint64_t{1} << 30;  // as ggml has it

  [[noreturn]] void fail_short(std::uint64_t wanted) const;
  [[noreturn]] void fail_text(std::uint64_t length) const;

  std::span<const std::byte> bytes_;
  std::string_view file_;
  Field field_{"header"};
  std::uint64_t position_ = 0;
};

}  // namespace malina::format
