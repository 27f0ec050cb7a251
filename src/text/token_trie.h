// The bytes of tokens as a tree, so that what many tokens begin with is looked at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace malina::text {

// Immutable; safe on many threads.
class TokenTrie {
 public:
  struct Entry {
    std::string bytes;  // not empty; several tokens may have the same
    Token token;
  };
  // Throws base::Error(unsupported) where the bytes are too many: 2^24 nodes of 12 bytes each.
  explicit TokenTrie(std::span<const Entry> entries);

  // Sets the bit (t of word t/64) of every token whose bytes, one after another from `start`, are
  // all taken by `step(State&, unsigned char) -> bool`. A state is copied for every byte.
  template <typename State, typename Step>
  void mark(const State& start, const Step& step, std::span<std::uint64_t> mask) const {
    std::vector<State> states(levels_ + 1, start);
    for (std::size_t i = 0; i + 1 < nodes_.size();) {
      const Node& node = nodes_[i];
      State& state = states[node.level + 1U];
      state = states[node.level];
      if (!step(state, node.byte)) {
        i = node.behind;
        continue;
      }
      ++i;
      for (std::size_t at = node.tokens; at < nodes_[i].tokens; ++at) {
        const auto token = static_cast<std::size_t>(tokens_[at]);
        mask[token / 64] |= std::uint64_t{1} << (token % 64);
      }
    }
  }

  std::size_t nodes() const { return nodes_.size() - 1; }

 private:
  // In the order of a walk that visits a node before its children, and children by their bytes;
  // one more node ends the list.
  struct Node {
    std::uint32_t behind;  // the first node that is not below this one
    std::uint32_t tokens;  // where in tokens_ those begin that end here; they end with the next's
    std::uint16_t level;   // 0: the first byte of a token
    std::uint8_t byte;
  };

  void add(std::string_view previous, const Entry& entry, std::vector<std::uint32_t>& path);

  std::vector<Node> nodes_;
  std::vector<Token> tokens_;
  std::size_t levels_ = 0;
};

}  // namespace malina::text
