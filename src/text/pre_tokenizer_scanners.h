// Scanners for the regular expressions of byte-level tokenisers. Private to pre_tokenizer.cpp.
//
// Every one gives what a backtracking engine would give for its expression (quoted beside it), but
// in one pass: each decides from the class of the next one or two characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "text/unicode.h"

namespace malina::text::scan {

inline Character at(const char* text, std::size_t position, std::size_t end) {
  return character_at(text, position, end);
}

// The end of the run of characters that have one of the classes in `mask`.
inline std::size_t run(const char* text, std::size_t position, std::size_t end, unsigned mask) {
  while (position < end) {
    const Character character = at(text, position, end);
    if ((character.classes & mask) == 0) break;
    position += character.bytes;
  }
  return position;
}

// The same for characters that have none of them.
inline std::size_t run_without(const char* text, std::size_t position, std::size_t end,
                               unsigned mask) {
  while (position < end) {
    const Character character = at(text, position, end);
    if ((character.classes & mask) != 0) break;
    position += character.bytes;
  }
  return position;
}

// 's|'t|'re|'ve|'m|'ll|'d at text[begin]: its end, or `begin` where there is none. Without regard
// to case, U+017F (long s) counts as s, as it does in Unicode case folding.
std::size_t contraction(const char* text, std::size_t begin, std::size_t end, bool any_case);

// The common tail of the expressions, for a piece that begins with white space:
//   \s*[\r\n]+ (where `breaks`) | \s+(?!\S) | \s+
// `stop` are classes that end the text for the look-ahead.
std::size_t white_space(const char* text, std::size_t begin, std::size_t end, bool breaks,
                        unsigned stop = 0);

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// kSplitNumbers: after each \p{N} was made a piece of its own.
template <bool kSplitNumbers>
std::size_t gpt2(const char* text, std::size_t begin, std::size_t end) {
  const Character first = at(text, begin, end);
  if (first.code == '\'') {
    const std::size_t match = contraction(text, begin, end, false);
    if (match > begin) return match;
  }
  std::size_t position = begin;
  Character next = first;
  if (first.code == ' ' && begin + 1 < end) next = at(text, ++position, end);
  if (next.classes & kLetter) return run(text, position + next.bytes, end, kLetter);
  if (next.classes & kNumber) {
    if (!kSplitNumbers) return run(text, position + next.bytes, end, kNumber);
    return begin + first.bytes;  // the number, or the space that stands alone before it
  }
  if (!(next.classes & kSpace))
    return run_without(text, position + next.bytes, end, kSpace | kLetter | kNumber);
  return white_space(text, begin, end, false, kSplitNumbers ? kNumber : 0);
}

struct WordRule {
  int numbers = 1;           // \p{N}{1,numbers}
  bool contractions = true;  // (?i:'s|'t|'re|'ve|'m|'ll|'d) first
  bool marks = false;        // \p{M} counts as \p{L}
  bool breaks = true;        // [\r\n]* after punctuation
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
//   |\s*[\r\n]+|\s+(?!\S)|\s+
template <WordRule kRule>
std::size_t words(const char* text, std::size_t begin, std::size_t end) {
  constexpr unsigned kWord = kRule.marks ? kLetter | kMark : kLetter;
  const Character first = at(text, begin, end);
  if (kRule.contractions && first.code == '\'') {
    const std::size_t match = contraction(text, begin, end, true);
    if (match > begin) return match;
  }
  const std::size_t second = begin + first.bytes;
  if (first.classes & kWord) return run(text, second, end, kWord);
  if (first.classes & kNumber) {
    std::size_t position = second;
    for (int count = 1; count < kRule.numbers && position < end; ++count) {
      const Character number = at(text, position, end);
      if (!(number.classes & kNumber)) break;
      position += number.bytes;
    }
    return position;
  }
  Character next{kInvalidCode, kSpace, 0};  // the end of the text is as good as white space here
  if (second < end) next = at(text, second, end);
  if (!(first.classes & kLineBreak) && (next.classes & kWord))
    return run(text, second + next.bytes, end, kWord);
  constexpr unsigned kNotOther = kSpace | kNumber | kWord;
  const bool spaced = first.code == ' ' && !(next.classes & kNotOther);
  if (spaced || !(first.classes & kSpace)) {
    std::size_t position = run_without(text, second, end, kNotOther);
    if (kRule.breaks) position = run(text, position, end, kLineBreak);
    return position;
  }
  return white_space(text, begin, end, true);
}

struct CasedRule {
  int numbers = 1;            // \p{N}{1,numbers}
  bool contractions = false;  // (?i:'s|'t|'re|'ve|'m|'ll|'d)? after a word
};

// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ and
// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]* without their first
// part, at text[begin]. Their ends, or `begin` where they do not match.
struct CasedWord {
  std::size_t lower_end;  // of the first one
  std::size_t upper_end;  // of the second one
};
CasedWord cased_word(const char* text, std::size_t begin, std::size_t end);

// The two above, in their order, |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <CasedRule kRule>
std::size_t cased_words(const char* text, std::size_t begin, std::size_t end) {
  const Character first = at(text, begin, end);
  const std::size_t second = begin + first.bytes;
  std::size_t match = begin;
  if (!(first.classes & (kLineBreak | kLetter | kNumber)) && second < end) {
    const CasedWord word = cased_word(text, second, end);
    const CasedWord bare =
        first.classes & kMark ? cased_word(text, begin, end) : CasedWord{begin, begin};
    match = word.lower_end > second   ? word.lower_end
            : bare.lower_end > begin  ? bare.lower_end
            : word.upper_end > second ? word.upper_end
                                      : begin;
  } else if (first.classes & (kLetter | kMark)) {
    const CasedWord word = cased_word(text, begin, end);
    match = word.lower_end > begin ? word.lower_end : word.upper_end;
  }
  if (match > begin) return kRule.contractions ? contraction(text, match, end, true) : match;
  if (first.classes & kNumber) {
    std::size_t position = second;
    for (int count = 1; count < kRule.numbers && position < end; ++count) {
      const Character number = at(text, position, end);
      if (!(number.classes & kNumber)) break;
      position += number.bytes;
    }
    return position;
  }
  const unsigned not_other = kSpace | kLetter | kNumber;
  const bool spaced =
      first.code == ' ' && second < end && !(at(text, second, end).classes & not_other);
  if (spaced || !(first.classes & kSpace)) {
    std::size_t position = run_without(text, second, end, not_other);
    while (position < end &&
           (text[position] == '\r' || text[position] == '\n' || text[position] == '/'))
      ++position;
    return position;
  }
  return white_space(text, begin, end, true);
}

// A match at text[begin]: its end, or `begin` where there is none.
using Matcher = std::size_t (*)(const char* text, std::size_t begin, std::size_t end);

// Each match is a piece, and so is what lies between two of them. The matcher must fail in constant
// time, or the gap would be quadratic.
template <Matcher kMatch>
std::size_t isolate(const char* text, std::size_t begin, std::size_t end) {
  std::size_t position = kMatch(text, begin, end);
  if (position > begin) return position;
  do {
    position += at(text, position, end).bytes;
  } while (position < end && kMatch(text, position, end) == position);
  return position;
}

// X+ for the characters that `kBelongs` accepts; with kSpaceClass one white space (or, for ' ', one
// blank) may stand before: \s?X+ and  ?X+.
enum class Before { nothing, blank, white_space };
using Belongs = bool (*)(const Character& character);

template <Belongs kBelongs, Before kBefore = Before::nothing>
std::size_t some(const char* text, std::size_t begin, std::size_t end) {
  std::size_t position = begin;
  const Character first = at(text, begin, end);
  const bool space = (kBefore == Before::blank && first.code == ' ') ||
                     (kBefore == Before::white_space && (first.classes & kSpace));
  if (space && begin + first.bytes < end && kBelongs(at(text, begin + first.bytes, end)))
    position += first.bytes;
  const std::size_t start = position;
  while (position < end) {
    const Character character = at(text, position, end);
    if (!kBelongs(character)) break;
    position += character.bytes;
  }
  return position > start ? position : begin;
}

template <Belongs kBelongs>
std::size_t one(const char* text, std::size_t begin, std::size_t end) {
  const Character first = at(text, begin, end);
  return kBelongs(first) ? begin + first.bytes : begin;
}

// X{1,kMaximum}
template <Belongs kBelongs, int kMaximum>
std::size_t up_to(const char* text, std::size_t begin, std::size_t end) {
  std::size_t position = begin;
  for (int count = 0; count < kMaximum && position < end; ++count) {
    const Character character = at(text, position, end);
    if (!kBelongs(character)) break;
    position += character.bytes;
  }
  return position;
}

}  // namespace malina::text::scan
