// Whatever runs beside it, wherever its prompt's pages come from and however often it is preempted:
// a generation's answer is the bits of its run alone.
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/test_bench.h"

namespace malina::engine {
namespace {

struct Answer {
  std::vector<TokenEvent> events;
  Finished finished;
};

Answer answer_of(Stream& stream) {
  Answer answer;
  while (auto event = stream.next()) answer.events.push_back(std::move(*event));
  answer.finished = stream.finished();
  return answer;
}

void expect_same(const std::vector<TokenEvent>& actual, const std::vector<TokenEvent>& expected) {
  for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    ASSERT_EQ(actual[i].token, expected[i].token) << "at " << i;
    ASSERT_EQ(actual[i].prompt, expected[i].prompt) << "at " << i;
    ASSERT_EQ(actual[i].text, expected[i].text) << "at " << i;
    ASSERT_EQ(actual[i].log_probability, expected[i].log_probability) << "at " << i;  // bits
    ASSERT_EQ(actual[i].top, expected[i].top) << "at " << i;
  }
}

// Only even tokens; has a state, so that what is accepted twice or left out shows.
class EvenAfterOdd : public Constraint {
 public:
  TokenMask allowed() override { return accepted_ % 3 == 2 ? TokenMask(even_) : TokenMask(all_); }
  void accept(Token token) override {
    if (accepted_ % 3 == 2) {
      EXPECT_EQ(token % 2, 0);
    }
    ++accepted_;
  }

 private:
  std::size_t accepted_ = 0;
  std::vector<std::uint64_t> even_ = std::vector<std::uint64_t>(100, 0x5555555555555555ULL);
  std::vector<std::uint64_t> all_ = std::vector<std::uint64_t>(100, ~std::uint64_t{0});
};

// The generation of a seed: what it says does not depend on owner and scope.
Generation request(std::uint64_t seed, std::size_t most_prompt, std::size_t most_answer) {
  base::Random random(seed);
  Generation generation;
  const std::size_t size = 1 + random.below(most_prompt);
  base::Random common(random.below(3));  // three texts that prompts begin with
  const std::size_t shared = random.below(size + 1);
  for (std::size_t i = 0; i < size; ++i)
    generation.prompt.push_back(static_cast<Token>((i < shared ? common : random).below(200)));
  generation.max_tokens = 1 + random.below(most_answer);
  generation.sampling.seed = seed;
  generation.sampling.temperature = static_cast<float>(random.below(3)) * 0.5F;
  if (random.below(4) == 0) generation.sampling.repetition_penalty = 1.2F;
  if (random.below(4) == 0) generation.sampling.frequency_penalty = 0.5F;
  if (random.below(5) == 0) generation.constraint = std::make_unique<EvenAfterOdd>();
  if (random.below(6) == 0) generation.score_prompt = true;
  if (generation.score_prompt && random.below(2) == 0) generation.max_tokens = 0;
  generation.stop_at_end_tokens = random.below(4) == 0;
  generation.log_probabilities = random.below(4);
  generation.owner = std::to_string(random.below(4));
  const std::uint64_t scope = random.below(4);
  generation.cache_scope = scope == 0 ? "" : std::to_string(scope);
  return generation;
}

Generation simple(std::size_t prompt_tokens, std::size_t max_tokens) {
  Generation generation;
  generation.prompt.assign(prompt_tokens, 5);
  generation.max_tokens = max_tokens;
  generation.stop_at_end_tokens = false;
  return generation;
}

struct Mix {
  std::size_t generations, most_prompt, most_answer;
  EngineOptions options;
};

// All at once, some cancelled at a random moment; several threads submit.
EngineStatus run_mix(Bench& bench, const Mix& mix, const std::vector<Answer>& alone) {
  const auto engine = bench.engine(mix.options);
  std::vector<std::shared_ptr<Stream>> streams(mix.generations);
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 3; ++first)
    threads.emplace_back([&, first] {
      for (std::size_t i = first; i < mix.generations; i += 3)
        streams[i] = engine->submit(request(i, mix.most_prompt, mix.most_answer));
    });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < mix.generations; ++i) {
    SCOPED_TRACE("generation " + std::to_string(i));
    if (i % 7 == 3) {
      std::vector<TokenEvent> begun;
      for (std::size_t events = i % 5; events > 0; --events)
        if (auto event = streams[i]->next()) begun.push_back(std::move(*event));
      streams[i]->cancel();
      while (auto event = streams[i]->next()) begun.push_back(std::move(*event));
      expect_same(begun, alone[i].events);
      continue;
    }
    const Answer answer = answer_of(*streams[i]);
    EXPECT_EQ(answer.events.size(), alone[i].events.size());
    expect_same(answer.events, alone[i].events);
    EXPECT_EQ(answer.finished.reason, alone[i].finished.reason);
    EXPECT_EQ(answer.finished.text, alone[i].finished.text);
    EXPECT_EQ(answer.finished.answer_tokens, alone[i].finished.answer_tokens);
    EXPECT_EQ(answer.finished.prompt_tokens, alone[i].finished.prompt_tokens);
  }
  EngineStatus status = engine->status();
  for (int i = 0; i < 5000 && status.running + status.waiting > 0;
       ++i) {  // the last report may be under way
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    status = engine->status();
  }
  EXPECT_EQ(status.running, 0u);
  EXPECT_EQ(status.waiting, 0u);
  EXPECT_EQ(status.pages_used, 0u);
  return status;
}

std::vector<Answer> run_alone(Bench& bench, const Mix& mix) {
  std::vector<Answer> alone;
  const auto engine = bench.engine({.context = 600, .speculation = Speculation::off});
  for (std::size_t i = 0; i < mix.generations; ++i) {
    Generation generation = request(i, mix.most_prompt, mix.most_answer);
    generation.cache_scope.clear();
    alone.push_back(answer_of(*engine->submit(std::move(generation))));
  }
  return alone;
}

TEST(EngineMany, AnswersAreThoseOfTheGenerationAlone) {
  std::uint64_t cached = 0;
  for (const Setting& setting :
       {Setting{"tiny/q4_1"}, Setting{"tiny/q4_1", math::KvType::f32, math::Precision::exact},
        Setting{"tiny/k_types", math::KvType::q8_0}, Setting{"tiny/window_8"},
        Setting{"tiny/window_64", math::KvType::f32}, Setting{"families/gemma3"},
        Setting{"families/phi3_long"}}) {
    SCOPED_TRACE(setting.file + " " + std::string(math::name(setting.kv_type)));
    Bench bench(setting);
    Mix mix{120, 150, 60, {.context = 600}};
    const std::vector<Answer> alone = run_alone(bench, mix);
    // A pool for hardly more than one of them; one for some; one for all, in small and large steps.
    const std::vector<std::tuple<std::size_t, std::size_t, int, Speculation>> pools{
        {220, 16, 100, Speculation::always},
        {700, 64, 1, Speculation::adaptive},
        {6000, 0, 100, Speculation::always}};
    for (const auto& [positions, rows, time, speculation] : pools) {
      mix.options.speculation = speculation;
      mix.options.positions = positions;
      mix.options.max_rows = rows;
      mix.options.step_time = std::chrono::milliseconds(time);
      const EngineStatus status = run_mix(bench, mix, alone);
      cached += status.prompt_tokens_cached;
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(cached, 1000u);
}

// Short prompts and long answers: many are admitted and few can stay.
TEST(EngineMany, PreemptedGenerationsGoOnWithTheSameBits) {
  for (const Setting& setting : {Setting{"tiny/q4_1"}, Setting{"families/gemma3"}}) {
    SCOPED_TRACE(setting.file);
    Bench bench(setting);
    Mix mix{40, 20, 250, {.context = 600}};
    const std::vector<Answer> alone = run_alone(bench, mix);
    mix.options.positions = 320;
    mix.options.speculation = Speculation::always;
    EXPECT_GT(run_mix(bench, mix, alone).preemptions, 3u);
  }
}

// One after the other, so that all steps are for drafts: greedy and drawn, with penalties and
// masks.
TEST(EngineMany, SpeculationChangesNothing) {
  std::uint64_t accepted = 0;
  for (const Setting& setting :
       {Setting{"tiny/q4_1"}, Setting{"tiny/k_types", math::KvType::q8_0}, Setting{"tiny/window_8"},
        Setting{"tiny/window_64", math::KvType::f32}, Setting{"families/gemma3"},
        Setting{"families/mixtral"}}) {
    SCOPED_TRACE(setting.file);
    Bench bench(setting);
    const Mix mix{60, 50, 150, {.context = 600}};
    const std::vector<Answer> alone = run_alone(bench, mix);
    const auto engine = bench.engine({.context = 600, .speculation = Speculation::always});
    for (std::size_t i = 0; i < mix.generations; ++i) {
      SCOPED_TRACE("generation " + std::to_string(i));
      const Answer answer =
          answer_of(*engine->submit(request(i, mix.most_prompt, mix.most_answer)));
      ASSERT_EQ(answer.events.size(), alone[i].events.size());
      expect_same(answer.events, alone[i].events);
      EXPECT_EQ(answer.finished.text, alone[i].finished.text);
      EXPECT_EQ(answer.finished.reason, alone[i].finished.reason);
    }
    const EngineStatus status = engine->status();
    EXPECT_GT(status.drafted_tokens, status.accepted_tokens);
    accepted += status.accepted_tokens;
  }
  EXPECT_GT(accepted, 500u);
}

// The same prompt again, and the chat's next turn, with each type of keys and values and with
// windows.
TEST(EngineMany, ACacheHitGivesTheSameBits) {
  for (const Setting& setting :
       {Setting{"tiny/q4_1"}, Setting{"tiny/q4_1", math::KvType::f32, math::Precision::exact},
        Setting{"tiny/k_types", math::KvType::q8_0}, Setting{"tiny/window_8"},
        Setting{"tiny/window_64"}, Setting{"families/gemma3"}}) {
    SCOPED_TRACE(setting.file + " " + std::string(math::name(setting.kv_type)));
    Bench bench(setting);
    const auto make = [](std::size_t prompt_tokens, const std::string& scope) {
      base::Random random(9);
      Generation generation;
      for (std::size_t i = 0; i < prompt_tokens; ++i)
        generation.prompt.push_back(static_cast<Token>(random.below(200)));
      generation.max_tokens = 40;
      generation.stop_at_end_tokens = false;
      generation.log_probabilities = 2;
      generation.cache_scope = scope;
      return generation;
    };
    const auto engine = bench.engine({.context = 600, .max_rows = 48});
    for (const std::size_t size : {33U, 64U, 65U, 200U}) {
      const Answer fresh = answer_of(*engine->submit(make(size, "")));
      EXPECT_EQ(fresh.finished.cached_tokens, 0u);
      for (int again = 0; again < 3; ++again) {
        const Answer answer = answer_of(*engine->submit(make(size, "tenant")));
        ASSERT_EQ(answer.events.size(), fresh.events.size());
        expect_same(answer.events, fresh.events);
        if (again == 0) continue;
        if (setting.file == "tiny/q4_1" || setting.file == "tiny/k_types") {
          EXPECT_EQ(answer.finished.cached_tokens, (size - 1) / 32 * 32);
        } else {  // a step of 48 rows leaves gaps in a window
          EXPECT_GE(answer.finished.cached_tokens, 32u);
        }
      }
      // The answer and another question.
      const auto next = [&](const std::string& scope) {
        Generation generation = make(size, scope);
        for (const TokenEvent& event : fresh.events) generation.prompt.push_back(event.token);
        generation.prompt.push_back(7);
        return generation;
      };
      const Answer expected = answer_of(*engine->submit(next("")));
      const Answer actual = answer_of(*engine->submit(next("tenant")));
      EXPECT_GE(actual.finished.cached_tokens, 32u);
      ASSERT_EQ(actual.events.size(), expected.events.size());
      expect_same(actual.events, expected.events);
    }
  }
}

TEST(EngineMany, ScopesShareNothing) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 600});
  const auto cached = [&](const std::string& scope) {
    Generation generation = simple(200, 1);
    generation.cache_scope = scope;
    return answer_of(*engine->submit(std::move(generation))).finished.cached_tokens;
  };
  EXPECT_EQ(cached("a"), 0u);
  EXPECT_EQ(cached("a"), 192u);
  EXPECT_EQ(cached("b"), 0u);
  EXPECT_EQ(cached(""), 0u);
  EXPECT_EQ(cached(""), 0u);
  EXPECT_EQ(cached("b"), 192u);
  EXPECT_EQ(engine->status().prompt_tokens_cached, 384u);
}

// The second of two that come together computes only what is its own.
TEST(EngineMany, RequestsInFlightShareAPrefix) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 600, .positions = 6000});
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 8; ++i) {
    Generation generation;
    generation.prompt.assign(512, 5);
    generation.prompt.resize(520, static_cast<Token>(10 + i));
    generation.max_tokens = 5;
    generation.cache_scope = "tenant";
    streams.push_back(engine->submit(std::move(generation)));
  }
  std::size_t cached = 0;
  for (const auto& stream : streams) cached += answer_of(*stream).finished.cached_tokens;
  EXPECT_EQ(cached, 7 * 512u);
}

// Holds the engine's thread in its step until it is opened.
class Gate : public Constraint {
 public:
  TokenMask allowed() override {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    return {};
  }
  void accept(Token) override {}
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_; });
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

TEST(EngineMany, WhatWaitsIsCancelledWithinAStep) {
  Bench bench({"tiny/q4_1"});
  // One row a step: one generation runs at a time.
  const auto engine = bench.engine({.context = 600, .positions = 600, .max_rows = 1});
  Generation blocking = simple(1, 500);
  auto owned = std::make_unique<Gate>();
  Gate& gate = *owned;
  blocking.constraint = std::move(owned);
  const auto running = engine->submit(std::move(blocking));
  gate.wait_until_reached();
  const auto waiting = engine->submit(simple(50, 10));
  Generation late = simple(50, 10);
  late.deadline = std::chrono::steady_clock::now();
  const auto overdue = engine->submit(std::move(late));
  EXPECT_EQ(engine->status().waiting, 2u);
  waiting->cancel();
  gate.open();
  EXPECT_TRUE(answer_of(*waiting).events.empty());
  EXPECT_TRUE(answer_of(*overdue).events.empty());
  EXPECT_EQ(waiting->finished().reason, FinishReason::cancelled);
  EXPECT_EQ(overdue->finished().reason, FinishReason::deadline);
  EXPECT_GT(waiting->finished().queue_time.count(), 0);
  EXPECT_EQ(waiting->finished().prompt_time.count(), 0);
  EXPECT_EQ(answer_of(*running).events.size(), 500u);
}

TEST(EngineMany, APromptIsCancelledWithinAStep) {
  Bench bench({"tiny/q4_1"});
  const auto engine = bench.engine({.context = 600, .positions = 6000, .max_rows = 8});
  Generation blocking = simple(1, 2);
  auto owned = std::make_unique<Gate>();
  Gate& gate = *owned;
  blocking.constraint = std::move(owned);
  const auto first = engine->submit(std::move(blocking));
  gate.wait_until_reached();
  const auto prompt = engine->submit(simple(500, 10));
  gate.open();
  while (prompt->prompt_done() == 0) std::this_thread::yield();
  prompt->cancel();
  const Answer answer = answer_of(*prompt);
  if (prompt->prompt_done() < 500) {
    EXPECT_TRUE(answer.events.empty());
    EXPECT_EQ(answer.finished.reason, FinishReason::cancelled);
  }
  answer_of(*first);
  // Its pages are free again for one that needs nearly all of them.
  EXPECT_EQ(answer_of(*engine->submit(simple(500, 10))).events.size(), 10u);
}

TEST(EngineMany, RefusesWhenEnoughWait) {
  Bench bench({"tiny/q4_1"});
  const auto engine =
      bench.engine({.context = 600, .positions = 600, .max_rows = 1, .max_waiting = 3});
  Generation blocking = simple(1, 2);
  auto owned = std::make_unique<Gate>();
  Gate& gate = *owned;
  blocking.constraint = std::move(owned);
  const auto first = engine->submit(std::move(blocking));
  gate.wait_until_reached();
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(engine->submit(simple(5, 2)));
  try {
    engine->submit(simple(5, 2));
    ADD_FAILURE() << "a fourth was taken";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::overloaded);
  }
  gate.open();
  answer_of(*first);
  for (const auto& stream : streams) EXPECT_EQ(answer_of(*stream).events.size(), 2u);
  EXPECT_EQ(answer_of(*engine->submit(simple(5, 2))).events.size(), 2u);
}

TEST(EngineMany, OneRequestsOwnAnswersDoNotCountAgainstIt) {
  Bench bench({"tiny/q4_1"});
  const auto engine =
      bench.engine({.context = 600, .positions = 600, .max_rows = 1, .max_waiting = 3});
  std::vector<Generation> many;
  for (int i = 0; i < 8; ++i) many.push_back(simple(5, 2));
  for (const auto& stream : engine->submit(std::move(many)))
    EXPECT_EQ(answer_of(*stream).events.size(), 2u);
  // Where one of them can never run, none does.
  many.clear();
  many.push_back(simple(5, 2));
  many.push_back(simple(5, 2));
  many.back().prompt.push_back(1 << 30);
  EXPECT_THROW(engine->submit(std::move(many)), base::Error);
  EXPECT_EQ(engine->status().waiting, 0u);
}

}  // namespace
}  // namespace malina::engine
