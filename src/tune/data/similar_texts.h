// Which texts are the same, or nearly: MinHash (Broder 1997) finds candidates, and the similarity
// of their character 5-grams decides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace malina::tune {

// Holds some 300 bytes a text, never the text. One owner, one thread.
class SimilarTexts {
 public:
  using Id = std::uint32_t;  // texts are numbered as they are added
  // Reads a plain text again, by its number.
  using TextOf = std::function<std::string(Id)>;

  struct Near {
    Id text = 0;
    double similarity = 0;
  };
  struct Neighbours {
    Id same = 0;  // the first text that is the same; the text itself where it is the first
    // The nearest that are not the same, if they are as similar as asked: of the texts before it in
    // its own part, and of those in earlier parts. Of texts with the same text, the first one has
    // them.
    std::optional<Near> in_part = {}, in_earlier_part = {};
  };

  // `plain`: as plain_text() makes it. Parts are added one after another, in ascending order.
  void add(std::string_view plain, std::uint32_t part);
  std::size_t size() const { return first_.size(); }

  // Neighbours of all texts. Of texts at least `least` similar (0.6 or more) it misses about one
  // in ten thousand, more where thousands are nearly alike. `progress` is told of texts done.
  // `pair`, where given, is told of every pair of near texts that was found.
  std::vector<Neighbours> find(double least, const TextOf& text_of,
                               const std::function<void(std::size_t done)>& progress = {},
                               const std::function<void(Id, Id)>& pair = {});

 private:
  // 24 bands of 5: a pair of similarity 0.8 shares a band with probability 1 - (1 - 0.8^5)^24.
  static constexpr std::size_t kBands = 24, kRows = 5, kHashes = kBands * kRows;
  // The low byte of each minimum: enough to estimate by, and five of them to find by.
  using Signature = std::array<std::uint8_t, kHashes>;

  static Signature signature(const std::vector<std::uint32_t>& shingles);
  std::uint64_t band_key(std::size_t unique, std::size_t band) const;
  void sort_bands();
  std::vector<std::uint32_t> candidates(std::size_t unique, std::size_t begin, std::size_t end,
                                        double least) const;
  std::optional<Near> nearest(std::size_t unique, std::size_t begin, std::size_t end, double least,
                              const std::vector<std::uint32_t>& own, const TextOf& text_of,
                              const std::function<void(Id, Id)>& pair) const;

  std::vector<Id> first_;                       // of each text
  std::unordered_map<std::uint64_t, Id> seen_;  // hash to the first text
  // Of first texts alone ("unique"), ascending:
  std::vector<Id> unique_;
  std::vector<Signature> signatures_;
  std::vector<std::size_t> part_begin_;                   // by part: its first unique
  std::array<std::vector<std::uint32_t>, kBands> bands_;  // uniques by key, then ascending
};

}  // namespace malina::tune
