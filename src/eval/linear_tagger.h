// The linear baseline of marked spans: each word of a text gets a tag from itself and its
// neighbours by logistic regression, and the likeliest possible sequence of tags is the answer
// (tag_chain.h).
//
// Words are runs of letters, digits, marks and '_', and every other character that is no white
// space by itself. A word's features are: the two words before it, itself and the two after it in
// lower case, each with its distance; itself with the one before and with the one after; its
// beginnings and ends of 1 to 4 characters; its shape ("Xxx", "99", "x99"), the shapes beside it;
// whether it is the first or the last. They are hashed to 2^20 columns of which only those that
// occur are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "eval/logistic_regression.h"
#include "eval/tag_chain.h"

namespace malina::eval {

// Bytes [begin, end) of a text.
struct WordPlace {
  std::size_t begin = 0, end = 0;
};
std::vector<WordPlace> words_of(std::string_view text);

// Immutable once made; many threads may ask.
class LinearTagger {
 public:
  // tags: of each text one for each of its words, below tag_count(types). The same for any number
  // of threads. Throws invalid_argument where they do not fit, or there is no word, and cancelled
  // where it was stopped (LogisticOptions::stop).
  static LinearTagger fit(std::span<const std::string> texts,
                          std::span<const std::vector<std::uint32_t>> tags, std::size_t types,
                          base::ThreadPool& pool, Stop stop = {});

  // What fit() takes: of the tagger itself, and beside it while it is fitted.
  struct Cost {
    std::uint64_t model_bytes = 0, working_bytes = 0;
  };
  static Cost cost_of(std::span<const std::string> texts, std::size_t types, std::size_t threads);

  std::size_t types() const { return (weights_.classes - 1) / 2; }
  // ln of the probabilities of each word's tags: [words, tags].
  ProbabilityTable scores(std::string_view text) const;

  // With a digest over all of it. parse throws corrupt_file for whatever bytes() does not write.
  std::string bytes() const;
  static LinearTagger parse(std::string_view bytes, const std::string& name);

 private:
  SparseRow row(std::span<const std::uint64_t> hashes) const;

  std::vector<std::uint32_t> columns_;  // ascending hashes, below 2^20; their place is the column
  LogisticWeights weights_;
};

}  // namespace malina::eval
