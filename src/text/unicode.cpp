#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace malina::text {
namespace {

std::uint16_t classes_of(std::uint32_t code) {
  std::uint16_t bits = 0;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      bits = kLetter | kUpper;
      break;
    case UTF8PROC_CATEGORY_LL:
      bits = kLetter | kLower;
      break;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      bits = kLetter;
      break;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      bits = kMark;
      break;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      bits = kNumber;
      break;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      bits = kPunctuation;
      break;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      bits = kSymbol;
      break;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      bits = kSpace;
      break;
    default:
      break;
  }
  if (code == 0x85) bits = kSpace;  // NEXT LINE: a control by category, yet White_Space
  return bits;
}

// Classes of the basic plane, so that common text needs one load a character.
const std::uint16_t* basic_plane() {
  static const std::vector<std::uint16_t> table = [] {
    std::vector<std::uint16_t> classes(0x10000);
    for (std::uint32_t code = 0x80; code < 0x10000; ++code) classes[code] = classes_of(code);
    return classes;
  }();
  return table.data();
}

// True for characters that neither change under form C nor combine with a character before them.
bool is_inert(std::uint32_t code) {
  if (code < 0x300) return true;
  if (code >= 0x3400 && code <= 0x9FFF) return true;  // CJK ideographs
  if (code >= 0xAC00 && code <= 0xD7A3) return true;  // Hangul syllables
  if (code >= 0x1F300 && code <= 0x1FAFF) return true;
  if (code >= 0x3041 && code <= 0x3096) return true;  // Hiragana, Katakana without voicing marks
  if (code >= 0x30A1 && code <= 0x30FA) return true;
  if (code >= 0x2010 && code <= 0x2027) return true;
  if (code >= 0x400 && code <= 0x482) return true;  // Cyrillic
  if (code >= 0x621 && code <= 0x64A) return true;  // Arabic
  return false;
}

void append_composed(std::string_view text, std::string& output) {
  utf8proc_uint8_t* result = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, std::free);
  if (length == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (length < 0)
    output += text;
  else
    output.append(reinterpret_cast<const char*>(result), static_cast<std::size_t>(length));
}

}  // namespace

std::size_t valid_character(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !follows(1)) return 0;
  if (first < 0xE0) return 2;
  if (!follows(2)) return 0;
  const unsigned second = byte(1);
  if (first < 0xF0) {
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
    return 3;
  }
  if (!follows(3) || (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
  return 4;
}

Character wide_character(const char* text, std::size_t position, std::size_t end) {
  const std::string_view rest(text + position, end - position);
  const std::size_t length = valid_character(rest);
  const auto bits = [&](std::size_t i, unsigned mask) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(rest[i]) & mask);
  };
  std::uint32_t code = 0;
  switch (length) {
    case 2:
      code = bits(0, 0x1F) << 6 | bits(1, 0x3F);
      break;
    case 3:
      code = bits(0, 0x0F) << 12 | bits(1, 0x3F) << 6 | bits(2, 0x3F);
      break;
    case 4:
      code = bits(0, 0x07) << 18 | bits(1, 0x3F) << 12 | bits(2, 0x3F) << 6 | bits(3, 0x3F);
      return {code, classes_of(code), 4};
    default:
      return {kInvalidCode, 0, 1};
  }
  return {code, basic_plane()[code], static_cast<std::uint8_t>(length)};
}

bool normalize_composed(std::string_view text, std::string& output) {
  bool inert = true;
  for (std::size_t position = 0; inert && position < text.size();) {
    // Codes below U+0300 need lead bytes below 0xCC.
    if (static_cast<unsigned char>(text[position]) < 0xCC) {
      ++position;
      continue;
    }
    const Character character = character_at(text.data(), position, text.size());
    inert = character.code == kInvalidCode || is_inert(character.code);
    position += character.bytes;
  }
  if (inert) return false;
  output.clear();
  for (std::size_t position = 0; position < text.size();) {
    std::size_t end = position;
    while (end < text.size()) {
      const std::size_t length = valid_character(text.substr(end, 4));
      if (length == 0) break;
      end += length;
    }
    append_composed(text.substr(position, end - position), output);
    if (end < text.size()) output += text[end++];
    position = end;
  }
  return output != text;
}

}  // namespace malina::text
