// Continuations of a prompt have the log-probabilities that each has alone, and each token that
// they share is computed once.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "engine/test_bench.h"

namespace malina::engine {
namespace {

std::vector<Token> tokens_of(base::Random& random, std::size_t count, std::uint64_t vocabulary) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<Token>(random.below(vocabulary)));
  return tokens;
}

// Of few different tokens, so that they begin alike, one is another's beginning, some are equal.
Generation request(std::uint64_t seed, std::size_t most_prompt, std::size_t most_continuations) {
  base::Random random(seed);
  Generation generation;
  generation.prompt = tokens_of(random, 1 + random.below(most_prompt), 200);
  const std::size_t count = 1 + random.below(most_continuations);
  const std::vector<Token> common = tokens_of(random, random.below(40), 200);
  for (std::size_t i = 0; i < count; ++i) {
    Continuation& each = generation.continuations.emplace_back();
    if (random.below(2) == 0) each.tokens = common;
    const std::vector<Token> own = tokens_of(random, 1 + random.below(6), 3);
    each.tokens.insert(each.tokens.end(), own.begin(), own.end());
    if (random.below(3) == 0) each.scored_from = random.below(each.tokens.size());
  }
  generation.owner = std::to_string(random.below(3));
  const std::uint64_t scope = random.below(3);
  generation.cache_scope = scope == 0 ? "" : std::to_string(scope);
  return generation;
}

using Scores = std::vector<std::vector<double>>;

// Each continuation behind the prompt, as a prompt that is scored.
Scores scored_alone(Engine& engine, const Generation& generation) {
  Scores scores;
  for (const Continuation& continuation : generation.continuations) {
    Generation whole;
    whole.prompt = generation.prompt;
    whole.prompt.insert(whole.prompt.end(), continuation.tokens.begin(), continuation.tokens.end());
    whole.score_prompt = true;
    whole.log_probabilities = 0;
    const auto stream = engine.submit(std::move(whole));
    std::vector<double>& each = scores.emplace_back();
    for (std::size_t index = 0; auto event = stream->next(); ++index)
      if (index >= generation.prompt.size() + continuation.scored_from)
        each.push_back(event->log_probability.value());
  }
  return scores;
}

Finished finished_of(Stream& stream) {
  while (stream.next()) {
  }
  return stream.finished();
}

// When what it has done is told.
EngineStatus settled(const Engine& engine) {
  for (int i = 0; i < 5000 && engine.status().running + engine.status().waiting > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return engine.status();
}

// Tokens of the trie whose logits are wanted, and those on the way to them.
std::size_t nodes_of(const Generation& generation) {
  std::set<std::vector<Token>> nodes;
  for (const Continuation& continuation : generation.continuations)
    for (std::size_t length = 1; length < continuation.tokens.size(); ++length)
      nodes.emplace(continuation.tokens.begin(),
                    continuation.tokens.begin() + static_cast<std::ptrdiff_t>(length));
  return nodes.size();
}

TEST(Continuations, TheirScoresAreThoseOfEachAlone) {
  for (const Setting& setting :
       {Setting{"tiny/q4_1"}, Setting{"tiny/q4_1", math::KvType::f32, math::Precision::exact},
        Setting{"tiny/k_types", math::KvType::q8_0}, Setting{"tiny/window_8"},
        Setting{"tiny/window_64", math::KvType::f32}, Setting{"families/gemma3"},
        Setting{"families/mixtral"}, Setting{"families/phi2"}, Setting{"families/qwen3"}}) {
    SCOPED_TRACE(setting.file + " " + std::string(math::name(setting.kv_type)));
    Bench bench(setting);
    std::vector<Scores> alone;
    {
      const auto engine = bench.engine({.context = 300});
      for (std::uint64_t seed = 0; seed < 25; ++seed)
        alone.push_back(scored_alone(*engine, request(seed, 100, 20)));
    }
    // A pool for hardly more than one of them; one for some; one for all, in small and large steps.
    const std::vector<std::array<std::size_t, 3>> pools{
        {450, 16, 100}, {1000, 64, 1}, {8000, 0, 100}};
    for (const auto& [positions, rows, time] : pools) {
      const auto engine = bench.engine({.context = 300,
                                        .positions = positions,
                                        .max_rows = rows,
                                        .step_time = std::chrono::milliseconds(time)});
      std::vector<std::shared_ptr<Stream>> streams;
      for (std::uint64_t seed = 0; seed < 25; ++seed)
        streams.push_back(engine->submit(request(seed, 100, 20)));
      for (std::uint64_t seed = 0; seed < 25; ++seed) {
        if (seed % 9 == 5) {
          streams[seed]->cancel();
          continue;
        }
        EXPECT_EQ(finished_of(*streams[seed]).continuations, alone[seed]) << seed;  // bits
      }
    }
  }
}

TEST(Continuations, EachTokenThatTheyShareIsComputedOnce) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 300, .positions = 20000});
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Generation generation = request(seed, 100, 40);
    for (Continuation& continuation : generation.continuations) continuation.scored_from = 0;
    generation.cache_scope.clear();
    const std::size_t prompt = generation.prompt.size();
    const std::size_t nodes = nodes_of(generation);
    const auto before = engine->status();
    const Finished finished = finished_of(*engine->submit(std::move(generation)));
    EXPECT_EQ(finished.continuation_tokens, nodes);
    EXPECT_EQ(finished.prompt_tokens, prompt);
    const auto after = settled(*engine);
    EXPECT_EQ(after.continuation_tokens - before.continuation_tokens, nodes);
    EXPECT_EQ(after.prompt_tokens_computed - before.prompt_tokens_computed, prompt);
    EXPECT_EQ(after.pages_used, 0u);
  }
}

// Where it has rows and pages it is one step, however often it forks.
TEST(Continuations, AWholeTrieIsOneStep) {
  Bench bench({"tiny/q4_1"});
  // In 47 pages, of which the prompt takes four, are two of four subtrees with sixteen each.
  for (const auto& [positions, steps] :
       {std::pair<std::size_t, std::size_t>{20000, 1}, {1500, 2}}) {
    const auto engine = bench.engine(
        {.context = 300, .positions = positions, .step_time = std::chrono::seconds(1000)});
    Generation warm;  // the pace is known after it
    warm.prompt.assign(40, 5);
    finished_of(*engine->submit(std::move(warm)));
    Generation generation;
    generation.prompt.assign(100, 7);
    for (Token a = 0; a < 4; ++a)
      for (Token b = 0; b < 4; ++b)
        for (Token c = 0; c < 4; ++c) generation.continuations.push_back({{a, b, c, 7, 8}, 0});
    const std::uint64_t before = settled(*engine).steps;
    const Finished finished = finished_of(*engine->submit(std::move(generation)));
    EXPECT_EQ(finished.continuation_tokens, 4u + 16 + 64 + 64);
    EXPECT_EQ(settled(*engine).steps - before, 1 + steps);  // the prompt's, and the trie's
  }
}

TEST(Continuations, WhatIsOnlyReadCostsNoScores) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 300});
  Generation generation;
  generation.prompt = {1, 2, 3};
  // A text of its own, then the same two answers: the texts are read, the answers scored.
  for (const Token text : {10, 11, 12})
    for (const Token answer : {20, 21})
      generation.continuations.push_back({{text, text, text, answer}, 3});
  const Finished finished = finished_of(*engine->submit(std::move(generation)));
  ASSERT_EQ(finished.continuations.size(), 6u);
  for (const auto& scores : finished.continuations) EXPECT_EQ(scores.size(), 1u);
  EXPECT_EQ(finished.continuation_tokens, 9u);
}

// More branches than pages: in parts that fit.
TEST(Continuations, ManyBranchesInFewPagesComeToTheSameScores) {
  for (const char* file : {"tiny/q4_1", "tiny/window_8"}) {
    Bench bench({file});
    for (const bool chains : {false, true}) {
      SCOPED_TRACE(std::string(file) + (chains ? " chains" : ""));
      base::Random random(3);
      Generation generation;
      generation.prompt = tokens_of(random, 50, 200);
      for (Token a = 0; a < 6; ++a)
        for (Token b = 0; b < 6; ++b)
          for (Token c = 0; c < 3; ++c) {
            auto& tokens = generation.continuations.emplace_back().tokens;
            tokens.assign(chains ? 40 : 1, a);
            tokens.insert(tokens.end(), {b, c, 7, 8});
          }
      const auto large = bench.engine({.context = 200, .positions = 20000});
      const auto small =
          bench.engine({.context = 200, .positions = std::size_t{chains ? 320U : 200U}});
      const auto copy = [&] {
        Generation again;
        again.prompt = generation.prompt;
        again.continuations = generation.continuations;
        return again;
      };
      const Finished expected = finished_of(*large->submit(copy()));
      const Finished alone = finished_of(*small->submit(copy()));
      EXPECT_EQ(alone.continuations, expected.continuations);
      EXPECT_EQ(alone.continuation_tokens, expected.continuation_tokens);  // nothing began anew
      // Beside an answer that needs pages as well.
      Generation beside;
      beside.prompt = tokens_of(random, 20, 200);
      beside.max_tokens = 100;
      beside.stop_at_end_tokens = false;
      const auto first = small->submit(std::move(beside));
      const auto second = small->submit(copy());
      EXPECT_EQ(finished_of(*second).continuations, expected.continuations);
      EXPECT_EQ(finished_of(*first).answer_tokens, 100u);
    }
  }
}

// Long ways between the forks take all pages before the first label: it begins anew, one at a time,
// and comes to the same end.
TEST(Continuations, WhereAllPagesAreTakenItBeginsAnew) {
  Bench bench({"tiny/q4_1"});
  const auto scored = [&](std::size_t positions) {
    const auto engine = bench.engine(
        {.context = 300, .positions = positions, .step_time = std::chrono::seconds(1000)});
    Generation generation;
    generation.prompt.assign(50, 5);
    for (Token way = 0; way < 16; ++way) {  // forks of two
      auto& tokens = generation.continuations.emplace_back().tokens;
      for (int bit = 3; bit >= 1; --bit) tokens.insert(tokens.end(), 70, 10 + (way >> bit & 1));
      tokens.insert(tokens.end(), {10 + (way & 1), 8});
    }
    return finished_of(*engine->submit(std::move(generation)));
  };
  const Finished large = scored(20000), small = scored(14 * math::kPagePositions);
  EXPECT_EQ(small.continuations, large.continuations);
  EXPECT_GT(small.continuation_tokens, large.continuation_tokens);
}

TEST(Continuations, WhatCanNeverRunIsRefused) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 64, .positions = 96});
  const auto refusal = [&](std::vector<Continuation> continuations, std::size_t max_tokens = 0) {
    Generation generation;
    generation.prompt.assign(40, 5);
    generation.max_tokens = max_tokens;
    generation.continuations = std::move(continuations);
    try {
      engine->submit(std::move(generation));
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::invalid_argument);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal({{{1}, 0}}, 1), "continuations are scored instead of an answer");
  EXPECT_EQ(refusal({{{}, 0}}), "a continuation has no token to be scored");
  EXPECT_EQ(refusal({{{1, 2}, 2}}), "a continuation has no token to be scored");
  EXPECT_NE(refusal({{{1, -2}, 0}}).find("token -2 is outside of the vocabulary"),
            std::string::npos);
  EXPECT_EQ(refusal({{std::vector<Token>(25, 1), 0}}),
            "the prompt has 40 tokens and its longest continuation 25, but the context holds 64");
  EXPECT_EQ(refusal({{std::vector<Token>(24, 1), 0}}), "");
  // Two pages of the prompt, and one for each way that forks: five on the way down.
  EXPECT_NE(refusal({{{1, 1, 1, 1, 1, 1}, 0},
                     {{1, 1, 1, 1, 2, 2}, 0},
                     {{1, 1, 1, 2, 2}, 0},
                     {{1, 1, 2, 2}, 0},
                     {{1, 2, 2}, 0},
                     {{2, 2}, 0}})
                .find("do not fit in a key-value cache"),
            std::string::npos);
}

TEST(Continuations, TheEndComesWithNothingToCompute) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 64});
  Generation generation;
  generation.prompt = {5};
  generation.continuations = {{{1}, 0}, {{2}, 0}, {{1}, 0}};
  const Finished finished = finished_of(*engine->submit(std::move(generation)));
  EXPECT_EQ(finished.continuation_tokens, 0u);
  ASSERT_EQ(finished.continuations.size(), 3u);
  EXPECT_EQ(finished.continuations[0], finished.continuations[2]);
  EXPECT_NE(finished.continuations[0], finished.continuations[1]);
  EXPECT_LT(finished.continuations[0][0], 0);
}

}  // namespace
}  // namespace malina::engine
