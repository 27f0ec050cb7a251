// Characters of UTF-8 that is known to be valid. text/unicode.h tells what is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace malina::base {

constexpr bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

constexpr std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

// As many whole characters from its beginning as have at most so many bytes.
constexpr std::string_view whole_characters(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  std::size_t end = most_bytes;
  while (end > 0 && !begins_character(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace malina::base
