#include "eval/linear_tagger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "eval/sealed_file.h"
#include "format/byte_cursor.h"
#include "text/unicode.h"

namespace malina::eval {

using base::Error;
using base::Fault;

namespace {

constexpr std::uint32_t kBuckets = 1U << 20;
constexpr double kCost = 4;  // of an error
constexpr std::string_view kMagic = "MALINALT";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMostTags = 1 << 14;
constexpr std::uint64_t kMostWeights = std::uint64_t{1} << 28;

// FNV-1a.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 0xCBF29CE484222325ULL ^ (seed * 0x9E3779B97F4A7C15ULL);
  for (const char letter : text) {
    hash ^= static_cast<unsigned char>(letter);
    hash *= 0x100000001B3ULL;
  }
  return hash;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result)
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  return result;
}

// "Xx9-": a letter of each run of one kind.
std::string shape_of(std::string_view word) {
  std::string shape;
  for (std::size_t at = 0; at < word.size();) {
    const text::Character character = text::character_at(word.data(), at, word.size());
    const char kind = (character.classes & text::kUpper) != 0    ? 'X'
                      : (character.classes & text::kLetter) != 0 ? 'x'
                      : (character.classes & text::kNumber) != 0 ? '9'
                                                                 : word[at];
    if (shape.empty() || shape.back() != kind) shape += kind;
    at += character.bytes;
  }
  return shape;
}

// Of a word in its text. What is outside of the text is an empty word.
class WordFeatures {
 public:
  explicit WordFeatures(std::string_view text) {
    for (const WordPlace& place : words_of(text)) {
      const std::string_view word = text.substr(place.begin, place.end - place.begin);
      words_.push_back(lower(word));
      shapes_.push_back(shape_of(word));
    }
  }

  std::size_t size() const { return words_.size(); }

  std::vector<std::uint64_t> of(std::size_t i) const {
    std::vector<std::uint64_t> hashes;
    const auto add = [&](std::uint64_t kind, const std::string& text) {
      hashes.push_back(hash_of(text, kind) % kBuckets);
    };
    const std::string& word = words_[i];
    for (int distance = -2; distance <= 2; ++distance)
      add(static_cast<std::uint64_t>(distance + 3), at(words_, i, distance));
    add(10, at(words_, i, -1) + ' ' + word);
    add(11, word + ' ' + at(words_, i, 1));
    for (std::size_t length = 1; length <= 4 && length < word.size(); ++length) {
      add(12, word.substr(0, length));
      add(13, word.substr(word.size() - length));
    }
    for (int distance = -1; distance <= 1; ++distance)
      add(static_cast<std::uint64_t>(distance + 21), at(shapes_, i, distance));
    if (i == 0) add(30, "first");
    if (i + 1 == size()) add(30, "last");
    std::sort(hashes.begin(), hashes.end());
    hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
    return hashes;
  }

 private:
  static const std::string& at(const std::vector<std::string>& all, std::size_t i, int distance) {
    static const std::string kNone;
    const auto place = static_cast<std::ptrdiff_t>(i) + distance;
    return place < 0 || place >= static_cast<std::ptrdiff_t>(all.size())
               ? kNone
               : all[static_cast<std::size_t>(place)];
  }

  std::vector<std::string> words_, shapes_;
};

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

std::vector<WordPlace> words_of(std::string_view text) {
  constexpr int kWord = text::kLetter | text::kNumber | text::kMark;
  std::vector<WordPlace> words;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const text::Character character = text::character_at(text.data(), at, text.size());
    const bool word = (character.classes & kWord) != 0 || character.code == '_';
    const bool space = (character.classes & text::kSpace) != 0;
    if (word && inside)
      words.back().end = at + character.bytes;
    else if (!space)
      words.push_back({at, at + character.bytes});
    inside = word;
    at += character.bytes;
  }
  return words;
}

SparseRow LinearTagger::row(std::span<const std::uint64_t> hashes) const {
  SparseRow row;
  for (const std::uint64_t hash : hashes) {
    const auto found = std::lower_bound(columns_.begin(), columns_.end(), hash);
    if (found != columns_.end() && *found == hash)
      row.columns.push_back(static_cast<std::uint32_t>(found - columns_.begin()));
  }
  row.values.assign(row.columns.size(), 1.0F);
  return row;
}

LinearTagger LinearTagger::fit(std::span<const std::string> texts,
                               std::span<const std::vector<std::uint32_t>> tags, std::size_t types,
                               base::ThreadPool& pool, Stop stop) {
  LinearTagger tagger;
  std::vector<std::vector<std::uint64_t>> words;
  std::vector<std::uint32_t> labels;
  std::vector<bool> seen(kBuckets, false);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const WordFeatures features(texts[t]);
    if (t >= tags.size() || features.size() != tags[t].size())
      throw Error(Fault::invalid_argument,
                  fmt::format("text {} has not a tag for each word", t + 1));
    for (std::size_t i = 0; i < features.size(); ++i) {
      words.push_back(features.of(i));
      for (const std::uint64_t hash : words.back()) seen[hash] = true;
      labels.push_back(tags[t][i]);
    }
  }
  if (words.empty()) throw Error(Fault::invalid_argument, "there is no word to learn from");
  for (std::uint32_t hash = 0; hash < kBuckets; ++hash)
    if (seen[hash]) tagger.columns_.push_back(hash);
  SparseRows rows;
  rows.width = tagger.columns_.size();
  for (const auto& hashes : words) rows.add(tagger.row(hashes));
  tagger.weights_ =
      fit_logistic(rows, labels, tag_count(types), {.cost = kCost, .stop = std::move(stop)}, pool);
  return tagger;
}

LinearTagger::Cost LinearTagger::cost_of(std::span<const std::string> texts, std::size_t types,
                                         std::size_t threads) {
  std::uint64_t values = 0, hashes = 0, words = 0;
  std::vector<bool> seen(kBuckets, false);
  for (const std::string& text : texts) {
    const WordFeatures features(text);
    for (std::size_t i = 0; i < features.size(); ++i, ++words) {
      const std::vector<std::uint64_t> of_word = features.of(i);
      for (const std::uint64_t hash : of_word) seen[hash] = true;
      values += of_word.size();
      hashes += of_word.capacity() * sizeof(std::uint64_t) + sizeof of_word + 16;
    }
  }
  const auto width = static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), true));
  Cost cost;
  cost.model_bytes = (width + 1) * tag_count(types) * sizeof(float) + width * sizeof(std::uint32_t);
  // Hashes and rows (a column and a value each) of all words; what fit_logistic() says it takes.
  cost.working_bytes = hashes + values * 8 + words * 8 + values * 16 + threads * width * 8 * 8;
  return cost;
}

ProbabilityTable LinearTagger::scores(std::string_view text) const {
  const WordFeatures features(text);
  ProbabilityTable table{weights_.classes, {}};
  table.values.resize(features.size() * weights_.classes);
  for (std::size_t i = 0; i < features.size(); ++i) {
    const SparseRow word = row(features.of(i));
    weights_.probabilities(word.columns, word.values, table.row(i));
    for (double& value : table.row(i)) value = std::log(std::max(value, 1e-12));
  }
  return table;
}

std::string LinearTagger::bytes() const {
  std::string result(kMagic);
  put(result, kVersion);
  put(result, static_cast<std::uint64_t>(weights_.classes));
  put(result, static_cast<std::uint64_t>(columns_.size()));
  result.append(reinterpret_cast<const char*>(columns_.data()),
                columns_.size() * sizeof(std::uint32_t));
  result.append(reinterpret_cast<const char*>(weights_.weights.data()),
                weights_.weights.size() * sizeof(float));
  return with_digest(std::move(result));
}

LinearTagger LinearTagger::parse(std::string_view bytes, const std::string& name) {
  const auto corrupt = [&](std::string_view cause) {
    return Error(Fault::corrupt_file, fmt::format("{}: {}", name, cause));
  };
  const std::string_view content = checked_content(bytes, kMagic, "a linear tagger", name);
  format::ByteCursor cursor(std::as_bytes(std::span(content)).subspan(kMagic.size()), name);
  if (cursor.number<std::uint32_t>() != kVersion)
    throw Error(Fault::unsupported, name + ": it is of another version");
  LinearTagger tagger;
  const auto classes = cursor.number<std::uint64_t>(), width = cursor.number<std::uint64_t>();
  if (classes < 3 || classes % 2 == 0 || classes > kMostTags || width > kBuckets ||
      (width + 1) * classes > kMostWeights ||
      cursor.remaining() != width * sizeof(std::uint32_t) + (width + 1) * classes * sizeof(float))
    throw corrupt("its sizes do not fit its length");
  tagger.columns_.resize(width);
  const auto columns = cursor.take(width * sizeof(std::uint32_t));
  if (width > 0) std::memcpy(tagger.columns_.data(), columns.data(), columns.size());
  if (std::adjacent_find(tagger.columns_.begin(), tagger.columns_.end(), std::greater_equal<>()) !=
      tagger.columns_.end())
    throw corrupt("its columns are not in ascending order");
  tagger.weights_.width = width;
  tagger.weights_.classes = classes;
  tagger.weights_.weights.resize((width + 1) * classes);
  const auto values = cursor.take(cursor.remaining());
  std::memcpy(tagger.weights_.weights.data(), values.data(), values.size());
  for (const float value : tagger.weights_.weights)
    if (!std::isfinite(value)) throw corrupt("a weight is not a number");
  return tagger;
}

}  // namespace malina::eval
