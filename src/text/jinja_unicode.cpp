#include "text/jinja_unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "text/jinja_case_tables.h"

namespace malina::text::jinja {
namespace {

struct Range {
  char32_t first, last;
};

template <std::size_t count>
bool within(const Range (&ranges)[count], char32_t character) {
  const auto* range = std::lower_bound(
      std::begin(ranges), std::end(ranges), character,
      [](const Range& candidate, char32_t wanted) { return candidate.last < wanted; });
  return range != std::end(ranges) && range->first <= character;
}

// Unicode 14: Other_Lowercase, Other_Uppercase; digits that are not decimal; what is case-ignorable
// beside the categories Mn, Me, Cf, Lm and Sk (Word_Break = MidLetter, MidNumLet, Single_Quote).
constexpr Range kOtherLower[] = {
    {170, 170},     {186, 186},     {688, 696},     {704, 705},     {736, 740},     {837, 837},
    {890, 890},     {7468, 7530},   {7544, 7544},   {7579, 7615},   {8305, 8305},   {8319, 8319},
    {8336, 8348},   {8560, 8575},   {9424, 9449},   {11388, 11389}, {42652, 42653}, {42864, 42864},
    {43000, 43001}, {43868, 43871}, {67456, 67456}, {67459, 67461}, {67463, 67504}, {67506, 67514}};
constexpr Range kOtherUpper[] = {
    {8544, 8559}, {9398, 9423}, {127280, 127305}, {127312, 127337}, {127344, 127369}};
constexpr Range kOtherDigits[] = {{178, 179},     {185, 185},     {4969, 4977},   {6618, 6618},
                                  {8304, 8304},   {8308, 8313},   {8320, 8329},   {9312, 9320},
                                  {9332, 9340},   {9352, 9360},   {9450, 9450},   {9461, 9469},
                                  {9471, 9471},   {10102, 10110}, {10112, 10120}, {10122, 10130},
                                  {68160, 68163}, {69216, 69224}, {69714, 69722}, {127232, 127242}};
constexpr Range kMidWord[] = {{39, 39},       {46, 46},       {58, 58},       {183, 183},
                              {903, 903},     {1375, 1375},   {1524, 1524},   {8216, 8217},
                              {8228, 8228},   {8231, 8231},   {65043, 65043}, {65106, 65106},
                              {65109, 65109}, {65287, 65287}, {65294, 65294}, {65306, 65306}};

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

template <std::size_t count>
const LongCase* find_long(const LongCase (&table)[count], char32_t character) {
  const auto* entry = std::lower_bound(
      std::begin(table), std::end(table), character,
      [](const LongCase& candidate, char32_t wanted) { return candidate.from < wanted; });
  return entry != std::end(table) && entry->from == character ? entry : nullptr;
}

Mapped mapped(const LongCase* entry, utf8proc_int32_t otherwise) {
  if (entry != nullptr) return {entry->to[0], entry->to[1], entry->to[2]};
  return {static_cast<char32_t>(otherwise), 0, 0};
}

}  // namespace

char32_t next_character(std::string_view bytes, std::size_t& position) {
  const auto byte = [&](std::size_t offset) {
    return static_cast<char32_t>(static_cast<unsigned char>(bytes[position + offset]));
  };
  const char32_t lead = byte(0);
  char32_t character = lead;
  std::size_t length = 1;
  if (lead >= 0xF0) {
    character = (lead & 7U) << 18 | (byte(1) & 63U) << 12 | (byte(2) & 63U) << 6 | (byte(3) & 63U);
    length = 4;
  } else if (lead >= 0xE0) {
    character = (lead & 15U) << 12 | (byte(1) & 63U) << 6 | (byte(2) & 63U);
    length = 3;
  } else if (lead >= 0xC0) {
    character = (lead & 31U) << 6 | (byte(1) & 63U);
    length = 2;
  }
  position += length;
  return character;
}

char32_t previous_character(std::string_view bytes, std::size_t& position) {
  do --position;
  while (position > 0 && (static_cast<unsigned char>(bytes[position]) & 0xC0U) == 0x80U);
  std::size_t copy = position;
  return next_character(bytes, copy);
}

void append_character(std::string& bytes, char32_t character) {
  const auto put = [&](char32_t value) { bytes.push_back(static_cast<char>(value)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0U | character >> 6);
    put(0x80U | (character & 63U));
  } else if (character < 0x10000) {
    put(0xE0U | character >> 12);
    put(0x80U | (character >> 6 & 63U));
    put(0x80U | (character & 63U));
  } else {
    put(0xF0U | character >> 18);
    put(0x80U | (character >> 12 & 63U));
    put(0x80U | (character >> 6 & 63U));
    put(0x80U | (character & 63U));
  }
}

std::size_t count_characters(std::string_view bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

std::optional<std::size_t> first_invalid_utf8(std::string_view bytes) {
  std::size_t position = 0;
  while (position < bytes.size()) {
    if (static_cast<unsigned char>(bytes[position]) < 0x80) {
      ++position;
      continue;
    }
    utf8proc_int32_t character = 0;
    const auto length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()) + position,
                         static_cast<utf8proc_ssize_t>(bytes.size() - position), &character);
    if (length <= 0) return position;
    position += static_cast<std::size_t>(length);
  }
  return std::nullopt;
}

bool is_space(char32_t c) {
  if (c < 128) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLower, c); }
bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, c); }
bool is_title(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }
bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return within(kMidWord, c);
  }
}

bool is_alphabetic(char32_t c) {
  const auto value = category(c);
  return value >= UTF8PROC_CATEGORY_LU && value <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(char32_t c) { return is_decimal(c) || within(kOtherDigits, c); }

bool is_alphanumeric(char32_t c) {
  const auto value = category(c);
  return is_alphabetic(c) || (value >= UTF8PROC_CATEGORY_ND && value <= UTF8PROC_CATEGORY_NO);
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  const auto value = category(c);
  return value >= UTF8PROC_CATEGORY_LU && value <= UTF8PROC_CATEGORY_SO;
}

Mapped map_case(char32_t c, Case target) {
  const auto character = static_cast<utf8proc_int32_t>(c);
  switch (target) {
    case Case::upper:
      return mapped(find_long(kLongUpper, c), utf8proc_toupper(character));
    case Case::title:
      return mapped(find_long(kLongTitle, c), utf8proc_totitle(character));
    case Case::lower:
      break;
  }
  if (c == 0x130) return {0x69, 0x307, 0};  // the one long lower case
  return mapped(nullptr, utf8proc_tolower(character));
}

std::string_view strip_space(std::string_view bytes, bool left, bool right) {
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (left && begin < end) {
    std::size_t next = begin;
    if (!is_space(next_character(bytes, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    std::size_t previous = end;
    if (!is_space(previous_character(bytes, previous))) break;
    end = previous;
  }
  return bytes.substr(begin, end - begin);
}

}  // namespace malina::text::jinja
