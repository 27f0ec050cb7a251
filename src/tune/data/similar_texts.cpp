#include "tune/data/similar_texts.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/random.h"
#include "tune/data/plain_text.h"

namespace malina::tune {

namespace {

// Of a band's bucket, and of all candidates of a text, those that are looked at: both bound the
// work where a data set is one text with small changes.
constexpr std::size_t kMostOfBucket = 128, kMostVerified = 48;

struct Functions {
  std::array<std::uint32_t, 120> factors, terms;
};

const Functions& functions() {
  static const Functions made = [] {
    Functions result{};
    base::Random random(20);  // any seed: results are compared within one run only
    for (auto& factor : result.factors) factor = static_cast<std::uint32_t>(random.next()) | 1U;
    for (auto& term : result.terms) term = static_cast<std::uint32_t>(random.next());
    return result;
  }();
  return made;
}

}  // namespace

SimilarTexts::Signature SimilarTexts::signature(const std::vector<std::uint32_t>& shingles) {
  const Functions& hash = functions();
  std::array<std::uint32_t, kHashes> least;
  least.fill(std::numeric_limits<std::uint32_t>::max());
  for (const std::uint32_t shingle : shingles)
    for (std::size_t i = 0; i < kHashes; ++i)
      least[i] = std::min(least[i], shingle * hash.factors[i] + hash.terms[i]);
  Signature bytes;
  for (std::size_t i = 0; i < kHashes; ++i) {
    // The minimum of many is small: its low bits are the ones that differ.
    bytes[i] = static_cast<std::uint8_t>((least[i] * 0x9E3779B1U) >> 24);
  }
  return bytes;
}

void SimilarTexts::add(std::string_view plain, std::uint32_t part) {
  const auto id = static_cast<Id>(first_.size());
  while (part_begin_.size() <= part) part_begin_.push_back(unique_.size());
  const auto [place, added] = seen_.emplace(text_hash(plain), id);
  first_.push_back(place->second);
  if (!added) return;
  unique_.push_back(id);
  signatures_.push_back(signature(shingles(plain)));
}

std::uint64_t SimilarTexts::band_key(std::size_t unique, std::size_t band) const {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < kRows; ++i) key = key << 8 | signatures_[unique][band * kRows + i];
  return key;
}

void SimilarTexts::sort_bands() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> keys(unique_.size());
  for (std::size_t band = 0; band < kBands; ++band) {
    for (std::size_t i = 0; i < keys.size(); ++i)
      keys[i] = {band_key(i, band), static_cast<std::uint32_t>(i)};
    std::sort(keys.begin(), keys.end());
    bands_[band].resize(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) bands_[band][i] = keys[i].second;
  }
}

// Uniques in [begin, end) that share a band and seem similar enough, the most similar first.
std::vector<std::uint32_t> SimilarTexts::candidates(std::size_t unique, std::size_t begin,
                                                    std::size_t end, double least) const {
  std::vector<std::uint32_t> found;
  for (std::size_t band = 0; band < kBands; ++band) {
    const auto& sorted = bands_[band];
    const auto wanted = std::pair(band_key(unique, band), begin);
    auto place = std::lower_bound(sorted.begin(), sorted.end(), wanted,
                                  [&](std::uint32_t one, const auto& key) {
                                    return std::pair(band_key(one, band), std::size_t{one}) < key;
                                  });
    for (std::size_t seen = 0; seen < kMostOfBucket && place != sorted.end(); ++seen, ++place) {
      if (*place >= end || band_key(*place, band) != wanted.first) break;
      found.push_back(*place);
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());

  std::vector<std::pair<int, std::uint32_t>> rated;
  // The estimate's standard deviation is 0.037 at 0.8 and 0.045 at 0.6: four of them below.
  const auto enough = static_cast<int>((least - 0.18) * static_cast<double>(kHashes));
  for (const std::uint32_t one : found) {
    int equal = 0;
    for (std::size_t i = 0; i < kHashes; ++i)
      equal += signatures_[unique][i] == signatures_[one][i] ? 1 : 0;
    if (equal >= enough) rated.emplace_back(-equal, one);
  }
  std::sort(rated.begin(), rated.end());
  found.clear();
  for (std::size_t i = 0; i < std::min(rated.size(), kMostVerified); ++i)
    found.push_back(rated[i].second);
  return found;
}

std::optional<SimilarTexts::Near> SimilarTexts::nearest(
    std::size_t unique, std::size_t begin, std::size_t end, double least,
    const std::vector<std::uint32_t>& own, const TextOf& text_of,
    const std::function<void(Id, Id)>& pair) const {
  std::optional<Near> best;
  if (begin >= end) return best;
  for (const std::uint32_t one : candidates(unique, begin, end, least)) {
    const double alike = similarity(own, shingles(text_of(unique_[one])));
    if (alike >= least && pair) pair(unique_[unique], unique_[one]);
    if (alike >= least && (!best || alike > best->similarity)) best = Near{unique_[one], alike};
  }
  return best;
}

std::vector<SimilarTexts::Neighbours> SimilarTexts::find(
    double least, const TextOf& text_of, const std::function<void(std::size_t)>& progress,
    const std::function<void(Id, Id)>& pair) {
  sort_bands();
  std::vector<Neighbours> result(first_.size());
  for (std::size_t id = 0; id < first_.size(); ++id) result[id].same = first_[id];
  std::size_t part = 0;
  for (std::size_t unique = 0; unique < unique_.size(); ++unique) {
    while (part + 1 < part_begin_.size() && part_begin_[part + 1] <= unique) ++part;
    const auto own = shingles(text_of(unique_[unique]));
    Neighbours& neighbours = result[unique_[unique]];
    neighbours.in_part = nearest(unique, part_begin_[part], unique, least, own, text_of, pair);
    neighbours.in_earlier_part = nearest(unique, 0, part_begin_[part], least, own, text_of, pair);
    if (progress && unique % 256 == 0) progress(unique);
  }
  return result;
}

}  // namespace malina::tune
