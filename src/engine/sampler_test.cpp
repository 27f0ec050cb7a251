#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace malina::engine {
namespace {

const std::vector<float> kLogits{1.0F, 3.0F, 2.0F, 3.0F, -1.0F};

// How often each token comes in 20,000 draws.
std::map<Token, double> frequencies(const Sampling& sampling, std::span<const float> logits) {
  std::map<Token, double> counts;
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    Sampling one = sampling;
    one.seed = seed;
    counts[Sampler(one, logits.size(), {}).sample(logits)] += 1.0 / 20000;
  }
  return counts;
}

TEST(Sampler, ZeroTemperatureTakesTheLowestIdOnTies) {
  EXPECT_EQ(Sampler({.temperature = 0}, 5, {}).sample(kLogits), 1);
}

TEST(Sampler, DrawsByProbability) {
  const auto counts = frequencies({.temperature = 2}, kLogits);
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit / 2);
  for (std::size_t i = 0; i < kLogits.size(); ++i)
    EXPECT_NEAR(counts.at(static_cast<Token>(i)), std::exp(kLogits[i] / 2) / total, 0.012) << i;
}

TEST(Sampler, SameSeedGivesTheSameTokens) {
  for (std::uint64_t seed : {0ULL, 1ULL, 99ULL}) {
    Sampler first({.seed = seed}, 5, {});
    Sampler second({.seed = seed}, 5, {});
    for (int i = 0; i < 50; ++i) EXPECT_EQ(first.sample(kLogits), second.sample(kLogits));
  }
}

TEST(Sampler, TopKKeepsTiesInHuggingFaceOrderOnly) {
  EXPECT_EQ(frequencies({.top_k = 1}, kLogits).size(), 2u);
  const auto exact = frequencies({.top_k = 1, .order = SamplingOrder::llama_cpp}, kLogits);
  ASSERT_EQ(exact.size(), 1u);
  EXPECT_EQ(exact.begin()->first, 1);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.3, 0.2.
  const std::vector<float> logits{std::log(0.3F), std::log(0.5F), std::log(0.2F)};
  EXPECT_EQ(frequencies({.top_p = 0.45F}, logits).size(), 1u);
  EXPECT_EQ(frequencies({.top_p = 0.75F}, logits).size(), 2u);
  EXPECT_EQ(frequencies({.top_p = 0.85F}, logits).size(), 3u);
  EXPECT_EQ(frequencies({.top_p = 0.0F}, logits).size(), 1u);  // at least one
}

TEST(Sampler, MinPIsRelativeToTheGreatest) {
  const std::vector<float> logits{std::log(0.3F), std::log(0.5F), std::log(0.2F)};
  EXPECT_EQ(frequencies({.min_p = 0.5F}, logits).size(), 2u);
  EXPECT_EQ(frequencies({.min_p = 0.3F}, logits).size(), 3u);
}

TEST(Sampler, OrderDecidesWhatTheFiltersSee) {
  const std::vector<float> logits{std::log(0.3F), std::log(0.5F), std::log(0.2F)};
  // At temperature 0.5 the greatest alone has 25/38 = 0.66.
  Sampling sampling{.temperature = 0.5F, .top_p = 0.6F};
  EXPECT_EQ(frequencies(sampling, logits).size(), 1u);
  sampling.order = SamplingOrder::llama_cpp;
  EXPECT_EQ(frequencies(sampling, logits).size(), 2u);
}

TEST(Sampler, PenaltiesAreThoseOfTheReferences) {
  // Repetition: prompt and answer, positive divided, negative multiplied.
  const std::vector<float> logits{2.0F, 1.5F, -1.0F, -1.5F};
  const std::vector<Token> prompt{0, 2};
  EXPECT_EQ(Sampler({.temperature = 0, .repetition_penalty = 2}, 4, prompt).sample(logits), 1);
  // Frequency and presence: the answer only.
  EXPECT_EQ(Sampler({.temperature = 0, .presence_penalty = 2}, 4, prompt).sample(logits), 0);
  Sampler sampler({.temperature = 0, .frequency_penalty = 0.3F}, 4, prompt);
  EXPECT_EQ(sampler.sample(logits), 0);
  EXPECT_EQ(sampler.sample(logits), 0);  // 2 - 0.3 is still the greatest
  EXPECT_EQ(sampler.sample(logits), 1);  // 2 - 0.6 is not
}

TEST(Sampler, BiasAndMaskApplyBeforeAll) {
  EXPECT_EQ(Sampler({.temperature = 0, .logit_bias = {{4, 100.0F}}}, 5, {}).sample(kLogits), 4);
  const std::vector<std::uint64_t> mask{0b10101};
  EXPECT_EQ(Sampler({.temperature = 0}, 5, {}).sample(kLogits, mask), 2);
  const std::vector<std::uint64_t> nothing{0};
  Sampler sampler({.temperature = 0}, 5, {});
  EXPECT_THROW(sampler.sample(kLogits, nothing), base::Error);
}

TEST(Sampler, RowsBeyondTheVocabularyNeverCome) {
  EXPECT_EQ(Sampler({.temperature = 0}, 3, {}).sample(kLogits), 1);
  std::vector<float> padded{0, 0, 100};
  EXPECT_EQ(Sampler({.temperature = 0}, 2, {}).sample(padded), 0);
}

TEST(Sampler, RefusesWhatIsOutOfRange) {
  const std::vector<Sampling> wrong{{.temperature = -1},
                                    {.temperature = std::numeric_limits<float>::quiet_NaN()},
                                    {.top_p = 1.5F},
                                    {.min_p = -0.1F},
                                    {.repetition_penalty = 0},
                                    {.frequency_penalty = 3},
                                    {.presence_penalty = -3},
                                    {.logit_bias = {{5, 1.0F}}},
                                    {.logit_bias = {{-1, 1.0F}}},
                                    {.logit_bias = {{0, 101.0F}}}};
  for (const Sampling& sampling : wrong) EXPECT_THROW(Sampler(sampling, 5, {}), base::Error);
}

TEST(Sampler, LogitsThatAreNotNumbersAreAnError) {
  const std::vector<float> broken(4, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(Sampler({.temperature = 0}, 4, {}).sample(broken), base::Error);
  EXPECT_THROW(Sampler({}, 4, {}).sample(broken), base::Error);
  const std::vector<float> one_broken{1, std::numeric_limits<float>::quiet_NaN(), 3, 2};
  EXPECT_THROW(Sampler({.temperature = 0}, 4, {}).sample(one_broken), base::Error);
  EXPECT_THROW(Sampler({.top_k = 2}, 4, {}).sample(one_broken), base::Error);
}

TEST(Sampler, TinyTemperaturesDoNotOverflow) {
  const std::vector<float> logits{10, 11, 40, 39.5F};
  for (const float temperature : {1e-2F, 1e-30F, 1e-38F, 1e-44F})
    EXPECT_EQ(Sampler({.temperature = temperature}, 4, {}).sample(logits), 2);
}

TEST(MostLikely, IsDescendingWithTheLowerIdFirst) {
  const auto best = most_likely(kLogits, 3);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].first, 1);
  EXPECT_EQ(best[1].first, 3);
  EXPECT_EQ(best[2].first, 2);
  EXPECT_EQ(most_likely(kLogits, 100).size(), 5u);
  EXPECT_TRUE(most_likely(kLogits, 0).empty());
}

// The k likeliest by a full sort, as a mask, and no filter: the same tokens must be drawn.
TEST(Sampler, TopKOfALargeVocabularyDrawsFromTheKLikeliest) {
  constexpr std::size_t kVocabulary = 3000;
  base::Random random(3);
  for (const std::uint32_t k : {1U, 2U, 40U, 1000U, 2000U}) {
    for (const SamplingOrder order : {SamplingOrder::hugging_face, SamplingOrder::llama_cpp}) {
      std::vector<float> logits(kVocabulary);
      for (float& logit : logits) logit = static_cast<float>(random.uniform() * 24 - 12);
      std::vector<Token> ids(kVocabulary);
      for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<Token>(i);
      std::sort(ids.begin(), ids.end(), [&](Token a, Token b) {
        return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
      });
      std::vector<std::uint64_t> mask((kVocabulary + 63) / 64);
      for (std::uint32_t i = 0; i < k; ++i) {
        const auto id = static_cast<std::size_t>(ids[i]);
        mask[id / 64] |= std::uint64_t{1} << (id % 64);
      }
      const std::vector<Token> prompt{0};
      Sampling sampling{.temperature = 1.7F, .seed = k, .order = order};
      Sampler masked(sampling, kVocabulary, prompt);
      sampling.top_k = k;
      Sampler filtered(sampling, kVocabulary, prompt);
      for (int i = 0; i < 50; ++i) EXPECT_EQ(filtered.sample(logits), masked.sample(logits, mask));
    }
  }
}

}  // namespace
}  // namespace malina::engine
