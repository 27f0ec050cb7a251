// Remembers the tokens of short words while one text is encoded: most words of a text come again.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/piece_table.h"
#include "text/tokenizer.h"

namespace malina::text {

// Direct-mapped: a word replaces the one that had its slot. One owner, one thread.
class WordCache {
 public:
  static constexpr std::size_t kWordBytes = 16;
  static constexpr std::size_t kTokens = 7;

  struct Slot {
    std::uint64_t low = 0, high = 0;  // the bytes, zeros behind them
    std::uint8_t bytes = 0;           // 0: empty
    std::uint8_t count = 0;
    std::array<Token, kTokens> tokens;
  };

  // Sized for a text of that length: a short one should not pay for a large table.
  explicit WordCache(std::size_t text_bytes)
      : slots_(std::bit_ceil(std::min<std::size_t>(8192, text_bytes / 8 + 16))) {}

  // Appends the tokens of `word` to `output`: remembered ones, or those that make(word, output)
  // appends.
  template <typename Make>
  void encode(std::string_view word, std::vector<Token>& output, const Make& make) {
    if (word.size() > kWordBytes) {
      make(word, output);
      return;
    }
    const std::uint64_t low = load_bytes(word.data(), std::min<std::size_t>(8, word.size()));
    const std::uint64_t high = word.size() > 8 ? load_bytes(word.data() + 8, word.size() - 8) : 0;
    Slot& slot = slots_[mix(low ^ std::rotl(high * 0x9E3779B97F4A7C15ULL, 31) ^ word.size()) &
                        (slots_.size() - 1)];
    if (slot.low == low && slot.high == high && slot.bytes == word.size()) {
      output.insert(output.end(), slot.tokens.begin(), slot.tokens.begin() + slot.count);
      return;
    }
    const std::size_t before = output.size();
    make(word, output);
    const std::size_t count = output.size() - before;
    if (count > kTokens) return;
    slot.low = low;
    slot.high = high;
    slot.bytes = static_cast<std::uint8_t>(word.size());
    slot.count = static_cast<std::uint8_t>(count);
    std::copy(output.end() - static_cast<std::ptrdiff_t>(count), output.end(), slot.tokens.begin());
  }

 private:
  std::vector<Slot> slots_;
};

}  // namespace malina::text
