#include "tune/data/plain_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/quote.h"
#include "text/unicode.h"

namespace malina::tune {

namespace {

constexpr std::size_t kShingle = 5;

std::uint64_t mixed(std::uint64_t x) {  // the finaliser of SplitMix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

void append_code(std::string& text, std::uint32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::string composed;
  if (text::normalize_composed(text, composed)) text = composed;
  std::string plain;
  plain.reserve(text.size());
  bool gap = false;
  constexpr auto kKept = text::kLetter | text::kNumber | text::kMark;
  for (std::size_t at = 0; at < text.size();) {
    const text::Character character = text::character_at(text.data(), at, text.size());
    at += character.bytes;
    if ((character.classes & kKept) == 0) {
      gap = true;
      continue;
    }
    if (gap && !plain.empty()) plain.push_back(' ');
    gap = false;
    if (character.code < 128)
      plain.push_back(static_cast<char>(
          character.code >= 'A' && character.code <= 'Z' ? character.code + 32 : character.code));
    else
      append_code(plain, static_cast<std::uint32_t>(
                             utf8proc_tolower(static_cast<utf8proc_int32_t>(character.code))));
  }
  return plain;
}

std::vector<std::uint32_t> shingles(std::string_view plain) {
  std::vector<std::uint32_t> hashes;
  hashes.reserve(plain.size());
  std::array<std::uint32_t, kShingle> window{};
  std::size_t count = 0;
  for (std::size_t at = 0; at < plain.size();) {
    const text::Character character = text::character_at(plain.data(), at, plain.size());
    at += character.bytes;
    std::rotate(window.begin(), window.begin() + 1, window.end());
    window.back() = character.code;
    if (++count < kShingle) continue;
    std::uint64_t hash = 0;
    for (const std::uint32_t code : window) hash = mixed(hash + 0x9E3779B97F4A7C15ULL + code);
    hashes.push_back(static_cast<std::uint32_t>(hash >> 32));
  }
  if (hashes.empty()) hashes.push_back(static_cast<std::uint32_t>(text_hash(plain) >> 32));
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

double similarity(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::size_t common = 0, i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i] == b[j]) ++common;
    const bool first = a[i] <= b[j], second = b[j] <= a[i];
    i += first ? 1 : 0;
    j += second ? 1 : 0;
  }
  const std::size_t all = a.size() + b.size() - common;
  return all == 0 ? 1 : static_cast<double>(common) / static_cast<double>(all);
}

std::string in_readable_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string result = "'";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = text::valid_character(text.substr(at));
    const auto byte = static_cast<unsigned char>(text[at]);
    // Control characters: of ASCII, and of Latin-1, which take two bytes from 0xC2 0x80.
    const bool control =
        byte < 0x20 || byte == 0x7f ||
        (byte == 0xc2 && bytes == 2 && static_cast<unsigned char>(text[at + 1]) < 0xa0);
    if (bytes == 0 || control) return base::in_quotes(text);
    if (result.size() > kLongest) return result + "...'";
    result += text.substr(at, bytes);
    at += bytes;
  }
  return result + "'";
}

std::uint64_t text_hash(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return mixed(hash);
}

}  // namespace malina::tune
