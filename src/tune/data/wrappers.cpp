#include "tune/data/wrappers.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace malina::tune {

namespace {

constexpr std::size_t kSample = 2000;    // texts
constexpr std::size_t kLongest = 4096;   // bytes of a wrapper
constexpr std::size_t kFewest = 8;       // texts that a wrapper must have been seen on
constexpr double kShare = 0.3;           // of the texts that have no wrapper yet
constexpr std::size_t kShortest = 4;     // of a wrapper that a sign ends
constexpr std::size_t kLongEnough = 40;  // of one without
constexpr std::size_t kMostWrappers = 8;

bool ends_wrapper(char c) {
  constexpr std::string_view kSigns = ":\n\t\"'`>|=#*])}";
  return kSigns.find(c) != std::string_view::npos;
}
bool begins_suffix(char c) {
  constexpr std::string_view kSigns = ":\n\t\"'`<|=#*[({-";
  return kSigns.find(c) != std::string_view::npos;
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Whether a prefix that ends after `length` bytes may be a wrapper.
bool is_boundary(std::string_view walked, std::size_t length) {
  std::string_view prefix = walked.substr(0, length);
  const bool gap = is_space(prefix.back());
  while (!prefix.empty() && is_space(prefix.back())) prefix.remove_suffix(1);
  if (prefix.empty()) return false;
  if (length >= kShortest && (ends_wrapper(prefix.back()) || walked[length - 1] == '\n'))
    return true;
  return gap && length >= kLongEnough;
}

// A suffix is walked from its end: `walked` is reversed, and its last byte the suffix's first.
bool is_suffix_boundary(std::string_view walked, std::size_t length) {
  if (length < kShortest) return false;
  const char first = walked[length - 1];
  if (begins_suffix(first)) {
    // Punctuation that closes a sentence and the space after it is no wrapper.
    return std::any_of(walked.begin(), walked.begin() + static_cast<std::ptrdiff_t>(length),
                       [](char c) { return ends_wrapper(c); });
  }
  return is_space(first) && length >= kLongEnough;
}

struct Beginning {
  std::string text;                // "" where nothing that looks like a wrapper is common
  std::optional<char> first_byte;  // of those that were looked at; none where none are enough
};

// The most usual beginning of sorted texts, walked a byte at a time while enough of them share it.
template <class Boundary>
Beginning common_beginning(std::span<const std::string_view> texts, std::size_t least,
                           Boundary is_boundary_at) {
  std::size_t begin = 0, end = texts.size();
  std::size_t best = 0, best_count = 0;
  std::string_view walked;
  for (std::size_t length = 0; length < kLongest;) {
    if (length > 0 && is_boundary_at(walked, length)) {
      // A longer wrapper is better unless many have only the shorter one.
      if (best == 0 || 10 * (end - begin) >= 8 * best_count) {
        best = length;
        best_count = end - begin;
      }
    }
    // The longest run of one next byte; texts are sorted, so that runs stand together.
    std::size_t run_begin = begin, run_end = begin;
    for (std::size_t i = begin; i < end;) {
      if (texts[i].size() <= length) {
        ++i;
        continue;
      }
      std::size_t j = i + 1;
      while (j < end && texts[j].size() > length && texts[j][length] == texts[i][length]) ++j;
      if (j - i > run_end - run_begin) {
        run_begin = i;
        run_end = j;
      }
      i = j;
    }
    if (run_end - run_begin < least) break;
    begin = run_begin;
    end = run_end;
    walked = texts[begin].substr(0, ++length);
  }
  Beginning found;
  if (best > 0) found.text = texts[begin].substr(0, best);
  if (!walked.empty()) found.first_byte = walked[0];
  return found;
}

template <class Boundary>
std::vector<std::string> common_beginnings(std::vector<std::string_view> texts,
                                           Boundary is_boundary_at) {
  const std::size_t all = texts.size();
  std::vector<std::string> found;
  std::size_t without = texts.size();  // a wrapper
  while (found.size() < kMostWrappers) {
    std::sort(texts.begin(), texts.end());
    const std::size_t least = std::max(
        {kFewest, static_cast<std::size_t>(kShare * static_cast<double>(without)), all / 10});
    if (texts.size() < least) break;
    const Beginning next = common_beginning(std::span(std::as_const(texts)), least, is_boundary_at);
    if (!next.first_byte) break;
    // Where those that begin alike have no wrapper, others may.
    const std::string beginning = next.text.empty() ? std::string(1, *next.first_byte) : next.text;
    const std::size_t gone =
        std::erase_if(texts, [&](std::string_view text) { return text.starts_with(beginning); });
    if (next.text.empty()) continue;
    without -= gone;
    found.push_back(next.text);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return found;
}

}  // namespace

std::string_view Wrappers::strip(std::string_view text) const {
  std::string_view left = text;
  for (const std::string& prefix : prefixes)
    if (left.starts_with(prefix)) {
      left.remove_prefix(prefix.size());
      break;
    }
  for (const std::string& suffix : suffixes)
    if (left.ends_with(suffix)) {
      left.remove_suffix(suffix.size());
      break;
    }
  const bool nothing = std::all_of(left.begin(), left.end(), [](char c) { return is_space(c); });
  return nothing ? text : left;
}

void WrapperFinder::add(std::string_view text) {
  ++seen_;
  std::string kept(text);
  if (kept.size() > 2 * kLongest) kept.erase(kLongest, kept.size() - 2 * kLongest);
  // Reservoir sampling (Vitter 1985, algorithm R): rows of a file are often in some order.
  if (sample_.size() < kSample)
    sample_.push_back(std::move(kept));
  else if (const std::uint64_t place = random_.below(seen_); place < kSample)
    sample_[static_cast<std::size_t>(place)] = std::move(kept);
}

Wrappers WrapperFinder::find() const {
  Wrappers found;
  std::vector<std::string_view> texts(sample_.begin(), sample_.end());
  found.prefixes = common_beginnings(texts, is_boundary);
  std::vector<std::string> reversed;
  reversed.reserve(sample_.size());
  for (const std::string& text : sample_) {
    // A text that is nothing but a wrapper must not lend its beginning to a suffix.
    const std::string_view core = Wrappers{found.prefixes, {}}.strip(text);
    reversed.emplace_back(core.rbegin(), core.rend());
  }
  texts.assign(reversed.begin(), reversed.end());
  for (const std::string& suffix : common_beginnings(texts, is_suffix_boundary))
    found.suffixes.emplace_back(suffix.rbegin(), suffix.rend());
  return found;
}

}  // namespace malina::tune
