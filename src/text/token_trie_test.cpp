#include "text/token_trie.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace malina::text {
namespace {

// Takes so many bytes and none of `refused`.
struct Budget {
  int left;
};
constexpr unsigned char kRefused = 2;

bool take(Budget& budget, unsigned char byte) { return byte != kRefused && budget.left-- > 0; }

std::vector<std::uint64_t> one_by_one(std::span<const TokenTrie::Entry> entries, int most,
                                      std::size_t words) {
  std::vector<std::uint64_t> mask(words);
  for (const auto& entry : entries) {
    Budget budget{most};
    bool taken = true;
    for (const char byte : entry.bytes)
      taken = taken && take(budget, static_cast<unsigned char>(byte));
    const auto token = static_cast<std::size_t>(entry.token);
    if (taken) mask[token / 64] |= std::uint64_t{1} << (token % 64);
  }
  return mask;
}

TEST(TokenTrie, MarksWhatTheTokensOneByOneGive) {
  base::Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<TokenTrie::Entry> entries;
    const std::size_t count = static_cast<std::size_t>(random.below(300));
    for (std::size_t i = 0; i < count; ++i) {  // few byte values: prefixes, and equals
      std::string bytes(1 + static_cast<std::size_t>(random.below(20)), '\0');
      for (char& byte : bytes)
        byte = static_cast<char>(random.below(2) == 0 ? 0xFF : random.below(4));
      entries.push_back({bytes, static_cast<Token>(i * 3)});
    }
    const TokenTrie trie(entries);
    for (int most = 0; most < 22; most += 3) {
      std::vector<std::uint64_t> mask(15);
      trie.mark(Budget{most}, take, mask);
      EXPECT_EQ(mask, one_by_one(entries, most, mask.size()));
    }
  }
}

TEST(TokenTrie, LooksAtACommonPrefixOnce) {
  std::vector<TokenTrie::Entry> entries;
  for (int i = 0; i < 64; ++i)
    entries.push_back({std::string(100, 'a') + static_cast<char>('0' + i), static_cast<Token>(i)});
  const TokenTrie trie(entries);
  EXPECT_EQ(trie.nodes(), 164u);
  int steps = 0;
  std::vector<std::uint64_t> mask(1);
  trie.mark(0, [&](int&, unsigned char) { return ++steps > 0; }, mask);
  EXPECT_EQ(steps, 164);
  EXPECT_EQ(mask[0], ~std::uint64_t{0});
}

TEST(TokenTrie, RefusesTokensOfTooManyBytes) {
  const TokenTrie::Entry longest{std::string(65535, 'a'), 0};
  EXPECT_EQ(TokenTrie(std::span(&longest, 1)).nodes(), 65535u);
  const TokenTrie::Entry longer{std::string(65536, 'a'), 0};
  EXPECT_THROW(TokenTrie(std::span(&longer, 1)), base::Error);
}

}  // namespace
}  // namespace malina::text
