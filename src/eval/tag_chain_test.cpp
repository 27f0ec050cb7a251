#include "eval/tag_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/random.h"

namespace malina::eval {
namespace {

constexpr std::size_t kTypes = 2, kUnits = 4;

ProbabilityTable random_scores(std::uint64_t seed) {
  base::Random random(seed);
  ProbabilityTable scores{.classes = tag_count(kTypes), .values = {}};
  for (std::size_t i = 0; i < kUnits * scores.classes; ++i)
    scores.values.push_back(static_cast<double>(random.below(4000)) / 1000);
  return scores;
}

bool possible(const std::vector<std::uint32_t>& tags) {
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (tags[i] > 0 && tags[i] % 2 == 0 &&
        (i == 0 || (tags[i - 1] != tags[i] && tags[i - 1] != tags[i] - 1)))
      return false;
  return true;
}

// Every possible sequence of tags with its weight.
void each_sequence(const ProbabilityTable& scores, double temperature,
                   const std::function<void(const std::vector<std::uint32_t>&, double)>& visit) {
  std::vector<std::uint32_t> tags(kUnits, 0);
  while (true) {
    if (possible(tags)) {
      double sum = 0;
      for (std::size_t i = 0; i < kUnits; ++i) sum += scores.row(i)[tags[i]] / temperature;
      visit(tags, std::exp(sum));
    }
    std::size_t i = 0;
    while (i < kUnits && ++tags[i] == scores.classes) tags[i++] = 0;
    if (i == kUnits) return;
  }
}

TEST(TagChain, EqualsTheSumOverAllSequences) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const ProbabilityTable scores = random_scores(seed);
    const double temperature = 0.5 + static_cast<double>(seed) / 10;
    const TagAnswer answer = decode_tags(scores, temperature);
    double total = 0, best = 0;
    std::vector<std::uint32_t> likeliest;
    std::vector<double> of_spans(answer.spans.size(), 0);
    each_sequence(scores, temperature, [&](const std::vector<std::uint32_t>& tags, double weight) {
      total += weight;
      if (weight > best) {
        best = weight;
        likeliest = tags;
      }
      for (std::size_t s = 0; s < answer.spans.size(); ++s) {
        const TaggedSpan& span = answer.spans[s];
        bool there = tags[span.first] == 1 + 2 * span.type;
        for (std::size_t i = span.first + 1; i < span.last; ++i)
          there = there && tags[i] == 2 + 2 * span.type;
        if (span.last < kUnits) there = there && tags[span.last] != 2 + 2 * span.type;
        of_spans[s] += there ? weight : 0;
      }
    });
    EXPECT_EQ(tags_of(answer.spans, kUnits), likeliest);
    EXPECT_NEAR(answer.probability, best / total, 1e-12);
    EXPECT_NEAR(std::exp(log_probability(scores, likeliest, temperature)), best / total, 1e-12);
    for (std::size_t s = 0; s < of_spans.size(); ++s)
      EXPECT_NEAR(answer.spans[s].probability, of_spans[s] / total, 1e-12);
  }
}

TEST(TagChain, NoUnitsAreNothing) {
  const TagAnswer answer = decode_tags({.classes = 3, .values = {}});
  EXPECT_TRUE(answer.spans.empty());
  EXPECT_EQ(answer.probability, 1);
}

TEST(TagChain, CountsExactMatches) {
  const std::vector<TaggedSpan> expected{{0, 0, 2, 0}, {1, 3, 4, 0}};
  const std::vector<TaggedSpan> found{{0, 0, 2, 0.9}, {0, 3, 4, 0.8}, {1, 5, 6, 0.7}};
  SpanCounts counts;
  counts.add(found, expected);
  EXPECT_EQ(counts.right, 1U);
  EXPECT_DOUBLE_EQ(counts.precision(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(counts.recall(), 0.5);
  EXPECT_DOUBLE_EQ(counts.f1(), 0.4);
  EXPECT_EQ(SpanCounts{}.f1(), 1);
}

}  // namespace
}  // namespace malina::eval
