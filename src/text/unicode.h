// UTF-8 characters and the Unicode properties that pre-tokenisers split by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace malina::text {

// Bits of Character::classes. A byte that is not part of valid UTF-8 has none of them.
enum CharacterClass : std::uint16_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kSpace = 4,        // \s: the White_Space property
  kPunctuation = 8,  // \p{P}
  kSymbol = 16,      // \p{S}
  kMark = 32,        // \p{M}
  kUpper = 64,       // \p{Lu}, \p{Lt}
  kLower = 128,      // \p{Ll}
  kLineBreak = 256,  // '\r', '\n'
};

constexpr std::uint32_t kInvalidCode = 0xFFFFFFFF;

struct Character {
  std::uint32_t code;     // kInvalidCode for a byte that is not valid UTF-8
  std::uint16_t classes;  // CharacterClass bits
  std::uint8_t bytes;     // 1 to 4; 1 for an invalid byte
};

constexpr std::array<std::uint16_t, 128> ascii_classes() {
  std::array<std::uint16_t, 128> table{};
  for (int c = 0; c < 128; ++c) {
    std::uint16_t bits = 0;
    if (c >= 'a' && c <= 'z') bits = kLetter | kLower;
    if (c >= 'A' && c <= 'Z') bits = kLetter | kUpper;
    if (c >= '0' && c <= '9') bits = kNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) bits = kSpace;
    if (c == '\r' || c == '\n') bits |= kLineBreak;
    if (c > 32 && c < 127 && bits == 0) bits = kPunctuation;
    for (const char symbol : {'$', '+', '<', '=', '>', '^', '`', '|', '~'})
      if (c == symbol) bits = kSymbol;
    table[static_cast<std::size_t>(c)] = bits;
  }
  return table;
}

inline constexpr std::array<std::uint16_t, 128> kAsciiClasses = ascii_classes();

// The length in bytes of the valid UTF-8 character that begins text[0]; 0 where there is none
// (overlong forms, surrogates and codes above U+10FFFF are not valid).
std::size_t valid_character(std::string_view text);

Character wide_character(const char* text, std::size_t position, std::size_t end);

// The character at text[position]; requires position < end.
inline Character character_at(const char* text, std::size_t position, std::size_t end) {
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 128) return {byte, kAsciiClasses[byte], 1};
  return wide_character(text, position, end);
}

// Normalisation form C; bytes that are not valid UTF-8 stay as they are. Returns false, and leaves
// `output` alone, where `text` is in that form already.
bool normalize_composed(std::string_view text, std::string& output);

}  // namespace malina::text
