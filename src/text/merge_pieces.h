// The tokens of the pieces that merges name, many at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/piece_table.h"
#include "text/tokenizer.h"

namespace malina::text {

struct MergePieces {
  Token left, right, result;  // -1: the vocabulary holds no such piece
};

// Calls visit(i, MergePieces) for 0 <= i < count in order; pair(i) gives the two pieces as views.
template <typename Pair, typename Visit>
void find_merge_pieces(const PieceTable& pieces, std::size_t count, const Pair& pair,
                       const Visit& visit) {
  constexpr std::size_t kAtOnce = 256;
  std::vector<std::string_view> parts;  // left, right, result, left, ...
  std::vector<Token> tokens(3 * kAtOnce);
  std::string joined;
  for (std::size_t first = 0; first < count; first += kAtOnce) {
    const std::size_t end = std::min(first + kAtOnce, count);
    std::size_t bytes = 0;
    for (std::size_t i = first; i < end; ++i) {
      const std::pair<std::string_view, std::string_view> both = pair(i);
      bytes += both.first.size() + both.second.size();
    }
    joined.clear();
    joined.reserve(bytes);  // so that the views into it stay
    parts.clear();
    for (std::size_t i = first; i < end; ++i) {
      const std::pair<std::string_view, std::string_view> both = pair(i);
      const std::size_t begin = joined.size();
      joined.append(both.first).append(both.second);
      parts.insert(parts.end(), {both.first, both.second, std::string_view(joined).substr(begin)});
    }
    pieces.find(parts, tokens);
    for (std::size_t i = first; i < end; ++i) {
      const std::size_t at = 3 * (i - first);
      visit(i, MergePieces{tokens[at], tokens[at + 1], tokens[at + 2]});
    }
  }
}

}  // namespace malina::text
