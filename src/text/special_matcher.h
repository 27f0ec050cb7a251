// Finds added and special tokens in a text, which stand before any other splitting.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/piece_table.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace malina::text {

// A stretch [begin, end) of a text in which control tokens may be read. Ascending, not touching.
struct TrustedRange {
  std::size_t begin, end;
};

class SpecialMatcher {
 public:
  // The vocabulary must outlive this. `escaped`: "▁" in a user-defined token also stands for a
  // space.
  SpecialMatcher(const Vocabulary& vocabulary, bool escaped);

  // Splits `text` at its special tokens, the leftmost first and of those that begin at one place
  // the longest, each with the white space that it takes. User-defined tokens are found everywhere;
  // control and unknown ones only where they lie wholly in a trusted range. Calls plain(stretch)
  // for what lies between, never empty, and special(token).
  template <typename Plain, typename Special>
  void split(std::string_view text, std::span<const TrustedRange> trusted, const Plain& plain,
             const Special& special) const {
    std::size_t begin = 0;
    for (Match match = find(text, 0, trusted); match.token >= 0;
         match = find(text, begin, trusted)) {
      if (match.begin > begin) plain(text.substr(begin, match.begin - begin));
      special(match.token);
      begin = match.end;
    }
    if (begin < text.size()) plain(text.substr(begin));
  }

 private:
  struct Match {
    std::size_t begin, end;
    Token token;  // -1: none
  };
  Match find(std::string_view text, std::size_t from, std::span<const TrustedRange>& trusted) const;
  Match match_at(std::string_view text, std::size_t position, std::size_t trusted_end) const;
  void add(std::string_view piece, Token token);

  static constexpr std::uint32_t kRoot = 0;
  const Vocabulary* vocabulary_;
  std::array<bool, 256> starts_{};  // bytes that begin a special token
  PairTable<std::uint32_t> edges_;  // {node, byte} to node
  std::vector<Token> tokens_;       // of a node, -1 where no token ends
};

}  // namespace malina::text
