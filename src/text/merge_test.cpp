#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace malina::text {
namespace {

using Rules = std::map<std::pair<Token, Token>, Merge>;

std::vector<Token> merged(const Rules& rules, const std::vector<Token>& tokens) {
  MergeBuffers buffers;
  for (std::size_t i = 0; i < tokens.size(); ++i) buffers.add(tokens[i], i);
  merge_all(buffers, [&](std::uint32_t left, std::uint32_t right) {
    const auto rule = rules.find({buffers.symbols[left].token, buffers.symbols[right].token});
    return rule == rules.end() ? Merge{} : rule->second;
  });
  std::vector<Token> result;
  for (std::uint32_t i = 0; i != kNoSymbol; i = buffers.symbols[i].next)
    result.push_back(buffers.symbols[i].token);
  return result;
}

// The definition, as plainly as it goes.
std::vector<Token> merged_plainly(const Rules& rules, std::vector<Token> tokens) {
  for (;;) {
    Merge best;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto rule = rules.find({tokens[i], tokens[i + 1]});
      if (rule == rules.end() || rule->second.order >= best.order) continue;
      best = rule->second;
      place = i;
    }
    if (best.order == kNoMerge) return tokens;
    tokens[place] = best.token;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

// Random rules, also such as no training would give: results that merge earlier than their parts.
TEST(Merge, GivesWhatTheDefinitionGives) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    Rules rules;
    const int letters = 2 + static_cast<int>(random() % 3);
    for (std::uint32_t order = 0; order < 12; ++order) {
      const auto pick = [&] { return static_cast<Token>(random() % (letters + 6)); };
      rules.emplace(std::pair(pick(), pick()),
                    Merge{order, static_cast<Token>(letters + static_cast<int>(random() % 6))});
    }
    for (const std::size_t length : {0u, 1u, 2u, 7u, 40u, 41u, 300u}) {
      std::vector<Token> tokens(length);
      for (Token& token : tokens) token = static_cast<Token>(random() % letters);
      if (length == 0) continue;
      EXPECT_EQ(merged(rules, tokens), merged_plainly(rules, tokens));
    }
  }
}

TEST(Merge, TakesTheLeftmostOfEqualOrders) {
  const Rules rules{{{0, 0}, {5, 1}}, {{0, 1}, {5, 2}}};
  EXPECT_EQ(merged(rules, {0, 0, 0, 1}), (std::vector<Token>{1, 2}));
}

TEST(Merge, SortsEntriesByOrderThenPlace) {
  std::mt19937_64 random(2);
  std::vector<std::uint64_t> entries, other;
  for (std::uint64_t i = 0; i < 5000; ++i)
    entries.push_back((random() >> (random() % 60)) << 32 | i);
  std::vector<std::uint64_t> expected = entries;
  std::sort(expected.begin(), expected.end());
  merging::sort_entries(entries, other);
  EXPECT_EQ(entries, expected);
}

}  // namespace
}  // namespace malina::text
