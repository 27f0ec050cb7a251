// TF-IDF of words and characters: what a text is to a linear model.
//
// A text is normalised (composed as NFC, lower-cased character by character, every run of white
// space one space, none at the ends). Its terms are words and pairs of neighbouring words, where a
// word is a run of letters, digits, marks and '_'; and all runs of 2 to 5 characters, across words.
// A term that stands n times in a text and in d of the N texts fitted weighs
//   (1 + ln n) * (1 + ln((1 + N) / (1 + d)))
// (sublinear tf and smooth idf as scikit-learn's TfidfVectorizer defines them); the words of a text
// and its characters are scaled to length 1 each, so a text has length sqrt(2) where it has both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "eval/sparse_rows.h"

namespace malina::eval {

// `text` as its terms are taken from it. Bytes that are not UTF-8 stay, each as one character.
std::string normalized_text(std::string_view text);

// Which terms there are, and their inverse document frequencies. A term is known by a hash of 64
// bits, so that nothing of the texts themselves is kept. Immutable; many threads may ask.
class TextFeatures {
 public:
  // One term of the table. Columns are in this order: frequent terms first, which lie close
  // together in memory then, and by hash among terms that are as frequent.
  struct Term {
    std::uint64_t hash;
    float inverse_document_frequency;
    bool operator==(const Term&) const = default;
  };

  TextFeatures() = default;  // none: every text is an empty row
  // nullopt where a hash stands twice, a frequency is not positive and finite, there are more than
  // 2^30 terms, or their hashes are no hashes but numbers chosen to fall together.
  static std::optional<TextFeatures> from_terms(std::vector<Term> terms);

  // Terms of all texts, of which the `most_terms` most frequent are kept. What results depends on
  // the texts alone, not on their order nor on the threads.
  static TextFeatures fit(std::span<const std::string> texts, base::ThreadPool& pool,
                          std::size_t most_terms = kMostTerms);

  std::size_t width() const { return terms_.size(); }
  std::span<const Term> terms() const { return terms_; }

  // Terms that are not in the table count for nothing.
  SparseRow row(std::string_view text) const;
  SparseRows rows(std::span<const std::string> texts, base::ThreadPool& pool) const;

  // Enough for some 100,000 short texts; weights are this many for every class.
  static constexpr std::size_t kMostTerms = 1 << 20;

 private:
  static constexpr std::uint32_t kEmpty = 0xFFFFFFFF;
  std::uint32_t column(std::uint64_t hash) const;  // kEmpty where there is none

  std::vector<Term> terms_;
  std::vector<std::uint32_t> slots_;  // open addressing by hash; a power of two
};

}  // namespace malina::eval
