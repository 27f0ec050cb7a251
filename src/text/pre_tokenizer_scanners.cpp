#include "text/pre_tokenizer_scanners.h"

namespace malina::text::scan {

std::size_t contraction(const char* text, std::size_t begin, std::size_t end, bool any_case) {
  if (begin >= end || text[begin] != '\'') return begin;
  std::size_t position = begin + 1;
  const auto letter = [&]() -> char {
    if (position >= end) return 0;
    const Character character = at(text, position, end);
    position += character.bytes;
    if (any_case && character.code == 0x17F) return 's';
    if (character.code >= 128) return 0;
    const char code = static_cast<char>(character.code);
    return any_case && code >= 'A' && code <= 'Z' ? static_cast<char>(code - 'A' + 'a') : code;
  };
  const char first = letter();
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return position;
  const char second = letter();
  const bool match = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
  return match ? position : begin;
}

std::size_t white_space(const char* text, std::size_t begin, std::size_t end, bool breaks,
                        unsigned stop) {
  std::size_t position = begin;
  std::size_t last = begin;         // where the last white space begins
  std::size_t after_break = begin;  // after the last line break
  unsigned following = stop;        // classes of what comes after, `stop` at the end
  bool at_end = true;
  while (position < end) {
    const Character character = at(text, position, end);
    if (!(character.classes & kSpace)) {
      following = character.classes;
      at_end = false;
      break;
    }
    last = position;
    position += character.bytes;
    if (character.classes & kLineBreak) after_break = position;
  }
  if (breaks && after_break > begin) return after_break;
  if (at_end || (following & stop) != 0) return position;
  return last > begin ? last : position;
}

CasedWord cased_word(const char* text, std::size_t begin, std::size_t end) {
  CasedWord word{begin, begin};
  std::size_t position = begin;
  // Greedy upper part. Marks, modifiers and caseless letters belong to both parts, so where no
  // lower case follows the first expression falls back to end after the last of those.
  std::size_t after_both = begin;
  while (position < end) {
    const Character character = at(text, position, end);
    if (!(character.classes & (kLetter | kMark)) || (character.classes & kLower)) break;
    position += character.bytes;
    if (!(character.classes & kUpper)) after_both = position;
  }
  word.upper_end = position;
  word.lower_end = after_both;
  bool lower = false;
  while (position < end) {
    const Character character = at(text, position, end);
    if (!(character.classes & (kLetter | kMark)) || (character.classes & kUpper)) break;
    position += character.bytes;
    lower = true;
  }
  if (lower) word.lower_end = position;
  return word;
}

}  // namespace malina::text::scan
