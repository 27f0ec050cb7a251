#include "eval/text_features.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace malina::eval {

namespace {

constexpr std::size_t kShortestRun = 2, kLongestRun = 5;  // characters
constexpr std::uint64_t kWordSeed = 0x9E3779B97F4A7C15, kCharacterSeed = 0xD1B54A32D192ED03;
// A hash says of which kind its term is: words and characters are scaled apart.
constexpr std::uint64_t kWordBit = 1;

// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

std::uint64_t extended(std::uint64_t hash, std::uint32_t code) {
  return mixed(hash ^ (code + 0x100000001B3));
}

void append_code(std::string& text, std::uint32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

using text::Character;

std::vector<Character> characters_of(std::string_view text) {
  std::vector<Character> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    Character character = text::character_at(text.data(), at, text.size());
    if (character.code == text::kInvalidCode)  // a byte of its own, apart from all characters
      character.code = 0x110000 + static_cast<unsigned char>(text[at]);
    characters.push_back(character);
    at += character.bytes;
  }
  return characters;
}

bool in_word(const Character& character) {
  return (character.classes & (text::kLetter | text::kNumber | text::kMark)) != 0 ||
         character.code == '_';
}

void add_words(std::span<const Character> characters, std::vector<std::uint64_t>& hashes) {
  std::uint64_t previous = 0;
  for (std::size_t at = 0; at < characters.size();) {
    if (!in_word(characters[at])) {
      ++at;
      continue;
    }
    std::uint64_t word = kWordSeed;
    for (; at < characters.size() && in_word(characters[at]); ++at)
      word = extended(word, characters[at].code);
    hashes.push_back(word | kWordBit);
    if (previous != 0) hashes.push_back(mixed(std::rotl(previous, 17) ^ word) | kWordBit);
    previous = word;
  }
}

void add_character_runs(std::span<const Character> characters, std::vector<std::uint64_t>& hashes) {
  for (std::size_t first = 0; first + kShortestRun <= characters.size(); ++first) {
    std::uint64_t run = kCharacterSeed;
    const std::size_t longest = std::min(kLongestRun, characters.size() - first);
    for (std::size_t length = 1; length <= longest; ++length) {
      run = extended(run, characters[first + length - 1].code);
      if (length >= kShortestRun) hashes.push_back(run & ~kWordBit);
    }
  }
}

struct Counted {
  std::uint64_t hash;
  std::uint32_t count;
};

// The terms of one text with how often each stands in it, by hash.
std::vector<Counted> terms_of(std::string_view text) {
  const std::string normalized = normalized_text(text);
  const std::vector<Character> characters = characters_of(normalized);
  std::vector<std::uint64_t> hashes;
  hashes.reserve(characters.size() * 5);
  add_words(characters, hashes);
  add_character_runs(characters, hashes);
  std::sort(hashes.begin(), hashes.end());
  std::vector<Counted> counted;
  for (const std::uint64_t hash : hashes) {
    if (counted.empty() || counted.back().hash != hash) counted.push_back({hash, 0});
    ++counted.back().count;
  }
  return counted;
}

constexpr std::size_t kTextsAtOnce = 64;  // one task of the pool
// Half of the slots are free, so hashes that are hashes stand some dozens of slots off at most; a
// file that was made to be slow has others.
constexpr std::size_t kMostSteps = 1024;

}  // namespace

std::string normalized_text(std::string_view text) {
  std::string composed;
  if (!text::normalize_composed(text, composed)) composed = text;
  std::string result;
  result.reserve(composed.size());
  for (std::size_t at = 0; at < composed.size();) {
    const Character character = text::character_at(composed.data(), at, composed.size());
    if ((character.classes & text::kSpace) != 0) {
      if (!result.empty() && result.back() != ' ') result += ' ';
    } else if (character.code == text::kInvalidCode) {
      result += composed[at];
    } else {
      append_code(result, static_cast<std::uint32_t>(
                              utf8proc_tolower(static_cast<utf8proc_int32_t>(character.code))));
    }
    at += character.bytes;
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

std::optional<TextFeatures> TextFeatures::from_terms(std::vector<Term> terms) {
  if (terms.size() > kEmpty / 4) return std::nullopt;
  TextFeatures result;
  result.slots_.assign(std::bit_ceil(terms.size() * 2 + 1), kEmpty);
  const std::size_t mask = result.slots_.size() - 1;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const float frequency = terms[i].inverse_document_frequency;
    if (!(frequency > 0) || !std::isfinite(frequency)) return std::nullopt;
    std::size_t slot = terms[i].hash & mask;
    std::size_t steps = 0;
    for (; result.slots_[slot] != kEmpty; slot = (slot + 1) & mask)
      if (terms[result.slots_[slot]].hash == terms[i].hash || ++steps > kMostSteps)
        return std::nullopt;
    result.slots_[slot] = static_cast<std::uint32_t>(i);
  }
  result.terms_ = std::move(terms);
  return result;
}

std::uint32_t TextFeatures::column(std::uint64_t hash) const {
  if (slots_.empty()) return kEmpty;
  for (std::size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1))
    if (slots_[slot] == kEmpty || terms_[slots_[slot]].hash == hash) return slots_[slot];
}

TextFeatures TextFeatures::fit(std::span<const std::string> texts, base::ThreadPool& pool,
                               std::size_t most_terms) {
  std::unordered_map<std::uint64_t, std::uint32_t> frequencies;
  // In bounded portions: the terms of all texts at once would be a multiple of the rows.
  const std::size_t portion = kTextsAtOnce * 64;
  std::vector<std::vector<Counted>> counted(std::min(portion, texts.size()));
  for (std::size_t first = 0; first < texts.size(); first += portion) {
    const std::size_t count = std::min(portion, texts.size() - first);
    pool.run((count + kTextsAtOnce - 1) / kTextsAtOnce, [&](std::size_t task) {
      const std::size_t end = std::min(count, (task + 1) * kTextsAtOnce);
      for (std::size_t i = task * kTextsAtOnce; i < end; ++i)
        counted[i] = terms_of(texts[first + i]);
    });
    for (std::size_t i = 0; i < count; ++i)
      for (const Counted& term : counted[i]) ++frequencies[term.hash];
  }
  std::vector<std::pair<std::uint64_t, std::uint32_t>> ordered(frequencies.begin(),
                                                               frequencies.end());
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (ordered.size() > most_terms) ordered.resize(most_terms);
  std::vector<Term> terms;
  terms.reserve(ordered.size());
  const double all = 1 + static_cast<double>(texts.size());
  for (const auto& [hash, frequency] : ordered)
    terms.push_back({hash, static_cast<float>(1 + std::log(all / (1.0 + frequency)))});
  auto result = from_terms(std::move(terms));
  if (!result) throw base::Error(base::Fault::internal, "the terms of texts are no table of terms");
  return std::move(*result);
}

SparseRow TextFeatures::row(std::string_view text) const {
  struct Entry {
    std::uint32_t column;
    double value;
  };
  std::vector<Entry> entries;
  double squares[2] = {0, 0};  // of characters, of words
  for (const Counted& term : terms_of(text)) {
    const std::uint32_t found = column(term.hash);
    if (found == kEmpty) continue;
    const double value = (1 + std::log(term.count)) * terms_[found].inverse_document_frequency;
    squares[term.hash & kWordBit] += value * value;
    entries.push_back({found, value});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.column < b.column; });
  SparseRow row;
  row.columns.reserve(entries.size());
  row.values.reserve(entries.size());
  for (const Entry& entry : entries) {
    const double length = std::sqrt(squares[terms_[entry.column].hash & kWordBit]);
    row.columns.push_back(entry.column);
    row.values.push_back(static_cast<float>(entry.value / length));
  }
  return row;
}

SparseRows TextFeatures::rows(std::span<const std::string> texts, base::ThreadPool& pool) const {
  SparseRows result;
  result.width = width();
  const std::size_t portion = kTextsAtOnce * 64;
  std::vector<SparseRow> made(std::min(portion, texts.size()));
  for (std::size_t first = 0; first < texts.size(); first += portion) {
    const std::size_t count = std::min(portion, texts.size() - first);
    pool.run((count + kTextsAtOnce - 1) / kTextsAtOnce, [&](std::size_t task) {
      const std::size_t end = std::min(count, (task + 1) * kTextsAtOnce);
      for (std::size_t i = task * kTextsAtOnce; i < end; ++i) made[i] = row(texts[first + i]);
    });
    for (std::size_t i = 0; i < count; ++i) result.add(made[i]);
  }
  return result;
}

}  // namespace malina::eval
