#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace malina::engine {
namespace {

class EngineTest : public testing::Test {
 protected:
  static constexpr const char* kFile = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  StepArbiter arbiter_;
  std::shared_ptr<const format::Checkpoint> checkpoint_ = format::Checkpoint::open(kFile);
  std::shared_ptr<const text::Tokenizer> tokenizer_ =
      text::Tokenizer::create(checkpoint_->metadata());
  std::shared_ptr<const model::Model> model_ = model::Model::load(checkpoint_, device_, pool_);

  Engine engine(const EngineOptions& options = {}) {
    return Engine(model_, tokenizer_, device_, arbiter_, options);
  }

  Generation request(std::uint64_t seed, std::size_t prompt_tokens = 5,
                     std::size_t max_tokens = 12) const {
    base::Random random(seed);
    Generation generation;
    for (std::size_t i = 0; i < prompt_tokens; ++i)
      generation.prompt.push_back(static_cast<Token>(random.below(200)));
    generation.max_tokens = max_tokens;
    generation.sampling.seed = seed;
    generation.stop_at_end_tokens = false;
    generation.log_probabilities = 3;
    return generation;
  }

  static std::vector<TokenEvent> all(Stream& stream) {
    std::vector<TokenEvent> events;
    while (auto event = stream.next()) events.push_back(std::move(*event));
    return events;
  }
};

TEST_F(EngineTest, AnswersAreThoseOfTheGenerationAlone) {
  std::vector<std::vector<TokenEvent>> alone;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Engine one = engine({.context = 64});
    alone.push_back(all(*one.submit(request(seed, 1 + seed * 3))));
  }
  Engine together = engine({.context = 64, .positions = 400, .max_rows = 16});
  std::vector<std::shared_ptr<Stream>> streams;
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    streams.push_back(together.submit(request(seed, 1 + seed * 3)));
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto events = all(*streams[i]);
    ASSERT_EQ(events.size(), alone[i].size());
    for (std::size_t j = 0; j < events.size(); ++j) {
      EXPECT_EQ(events[j].token, alone[i][j].token);
      EXPECT_EQ(events[j].log_probability, alone[i][j].log_probability);  // the same bits
      EXPECT_EQ(events[j].text, alone[i][j].text);
    }
    EXPECT_EQ(streams[i]->finished().reason, FinishReason::length);
    EXPECT_EQ(streams[i]->finished().answer_tokens, 12u);
  }
}

TEST_F(EngineTest, TheChosenTokensLogProbabilityIsTheSameInEveryList) {
  Engine one = engine({.context = 64});
  Generation generation = request(1);
  generation.log_probabilities = 20;
  for (const TokenEvent& event : all(*one.submit(std::move(generation)))) {
    ASSERT_TRUE(event.log_probability);
    EXPECT_LE(*event.log_probability, 0);
    ASSERT_EQ(event.top.size(), 20u);
    double sum = 0;
    for (const auto& [token, log_probability] : event.top) {
      sum += std::exp(log_probability);
      if (token == event.token) {
        EXPECT_EQ(log_probability, *event.log_probability);
      }
    }
    EXPECT_LE(sum, 1 + 1e-6);
  }
}

TEST_F(EngineTest, ScoringAPromptEqualsGeneratingIt) {
  Engine one = engine({.context = 64});
  Generation first = request(4, 3, 10);
  const std::vector<Token> prompt = first.prompt;
  const auto generated = all(*one.submit(std::move(first)));
  Generation second = request(4, 3, 0);
  second.prompt = prompt;
  for (const TokenEvent& event : generated) second.prompt.push_back(event.token);
  second.score_prompt = true;
  const auto scored = all(*one.submit(std::move(second)));
  ASSERT_EQ(scored.size(), prompt.size() + generated.size());
  EXPECT_FALSE(scored[0].log_probability);
  for (std::size_t i = 0; i < generated.size(); ++i) {
    EXPECT_TRUE(scored[prompt.size() + i].prompt);
    EXPECT_EQ(scored[prompt.size() + i].log_probability, generated[i].log_probability);
  }
}

TEST_F(EngineTest, APromptOfOneTokenIsScoredWithoutANumber) {
  Engine one = engine({.context = 64});
  Generation generation = request(4, 1, 0);
  generation.score_prompt = true;
  const auto events = all(*one.submit(std::move(generation)));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_FALSE(events[0].log_probability);
}

TEST_F(EngineTest, StopsAtAStopStringAcrossTokens) {
  Engine one = engine({.context = 64});
  std::string text;
  for (const TokenEvent& event : all(*one.submit(request(2, 5, 30)))) text += event.text;
  ASSERT_GT(text.size(), 8u);
  Generation generation = request(2, 5, 30);
  const std::string stop = text.substr(4, 3);
  generation.stop = {stop};
  const auto stream = one.submit(std::move(generation));
  std::string stopped;
  for (const TokenEvent& event : all(*stream)) stopped += event.text;
  stopped += stream->finished().text;
  EXPECT_EQ(stopped, text.substr(0, text.find(stop)));
  EXPECT_EQ(stream->finished().reason, FinishReason::stop);
}

TEST_F(EngineTest, CancelsWithinAStepAndGivesItsPagesBack) {
  Engine one = engine({.context = 2000, .positions = 2000});
  for (int i = 0; i < 20; ++i) {  // each needs nearly all pages
    const auto stream = one.submit(request(3, 10, 1900));
    EXPECT_TRUE(stream->next());
    stream->cancel();
    all(*stream);
    EXPECT_EQ(stream->finished().reason, FinishReason::cancelled);
  }
}

TEST_F(EngineTest, ADeadlineEndsAGeneration) {
  Engine one = engine({.context = 2000});
  Generation generation = request(3, 10, 1900);
  generation.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  const auto stream = one.submit(std::move(generation));
  EXPECT_LT(all(*stream).size(), 1900u);
  EXPECT_EQ(stream->finished().reason, FinishReason::deadline);
}

TEST_F(EngineTest, EndsWhatRunsWhenItIsDestroyed) {
  std::shared_ptr<Stream> running, waiting;
  {
    Engine one = engine({.context = 2000, .positions = 2000});
    running = one.submit(request(3, 10, 1900));
    waiting = one.submit(request(4, 10, 1900));
    EXPECT_TRUE(running->next());
  }
  all(*running);
  all(*waiting);
  EXPECT_EQ(running->finished().reason, FinishReason::cancelled);
  EXPECT_EQ(waiting->finished().reason, FinishReason::cancelled);
}

// Only even tokens.
class EvenTokens : public Constraint {
 public:
  TokenMask allowed() override { return mask_; }
  void accept(Token token) override { EXPECT_EQ(token % 2, 0); }

 private:
  std::vector<std::uint64_t> mask_ = std::vector<std::uint64_t>(100, 0x5555555555555555ULL);
};

TEST_F(EngineTest, AConstraintMasksTokens) {
  Engine one = engine({.context = 64});
  Generation generation = request(5, 5, 40);
  generation.constraint = std::make_unique<EvenTokens>();
  for (const TokenEvent& event : all(*one.submit(std::move(generation))))
    EXPECT_EQ(event.token % 2, 0);
}

TEST_F(EngineTest, AListenerHearsOfEveryEventAndOfTheEnd) {
  const auto expected = [&] {
    Engine one = engine({.context = 64});
    return all(*one.submit(request(6)));
  }();
  Engine one = engine({.context = 64});
  const auto stream = one.submit(request(6));
  std::mutex mutex;
  std::condition_variable heard;
  std::vector<TokenEvent> events;
  bool ended = false;
  stream->on_change([&] {
    const std::scoped_lock lock(mutex);
    while (auto event = stream->try_next()) events.push_back(std::move(*event));
    ended = stream->ended();
    heard.notify_all();
  });
  {
    std::unique_lock lock(mutex);
    heard.wait(lock, [&] { return ended; });
  }
  ASSERT_EQ(events.size(), expected.size());
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].token, expected[i].token);
  EXPECT_FALSE(stream->try_next());
  EXPECT_EQ(stream->finished().answer_tokens, 12u);
  EXPECT_GE(stream->finished().queue_time.count(), 0);
}

TEST_F(EngineTest, AListenerIsCalledAtOnceForWhatIsThereAlready) {
  Engine one = engine({.context = 64});
  const auto stream = one.submit(request(6));
  while (!stream->wait_for(std::chrono::seconds(1))) {
  }
  int calls = 0;
  std::mutex mutex;
  stream->on_change([&] {
    const std::scoped_lock lock(mutex);
    ++calls;
  });
  {
    const std::scoped_lock lock(mutex);
    EXPECT_GE(calls, 1);
  }
  stream->on_change({});
}

TEST_F(EngineTest, ADetachedListenerIsNotCalledAnyMore) {
  Engine one = engine({.context = 2000});
  for (int i = 0; i < 50; ++i) {
    const auto stream = one.submit(request(6, 5, 500));
    // What the listener touches is gone after on_change: the thread sanitizer would see a late
    // call.
    auto calls = std::make_unique<std::size_t>(0);
    stream->on_change([&] { ++*calls; });
    EXPECT_TRUE(stream->next());
    stream->on_change({});
    calls.reset();
    stream->cancel();
    all(*stream);
  }
}

TEST_F(EngineTest, ItsStatusCountsWhatItDid) {
  Engine one = engine({.context = 64});
  all(*one.submit(request(0, 7, 12)));
  all(*one.submit(request(1, 3, 5)));
  EngineStatus status = one.status();
  for (int i = 0; i < 1000 && status.running > 0; ++i) {  // the last step's report may be under way
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    status = one.status();
  }
  EXPECT_EQ(status.running, 0u);
  EXPECT_EQ(status.waiting, 0u);
  EXPECT_EQ(status.pages_used, 0u);
  EXPECT_GT(status.pages_capacity, 0u);
  EXPECT_EQ(status.prompt_tokens_computed, 10u);
  EXPECT_EQ(status.answer_tokens, 17u);
  EXPECT_GE(status.steps, 12u);
  EXPECT_GT(status.last_step.count(), 0);
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  Engine one = engine({.context = 64});
  const auto refused = [&](auto&& change) {
    Generation generation = request(0);
    change(generation);
    EXPECT_THROW(one.submit(std::move(generation)), base::Error);
  };
  refused([](Generation& g) { g.prompt.clear(); });
  refused([](Generation& g) { g.prompt[0] = -1; });
  refused([](Generation& g) { g.prompt[0] = 1 << 20; });
  refused([](Generation& g) { g.max_tokens = 60; });               // 65 do not fit in 64
  refused([](Generation& g) { g.max_tokens = ~std::size_t{0}; });  // the sum would wrap
  refused([](Generation& g) { g.stop = {""}; });
  refused([](Generation& g) { g.stop.assign(5, "x"); });
  refused([](Generation& g) { g.log_probabilities = 21; });
  refused([](Generation& g) { g.sampling.temperature = -1; });
  EXPECT_EQ(all(*one.submit(request(0))).size(), 12u);  // and goes on
}

TEST_F(EngineTest, AGenerationMayFillTheContextExactly) {
  Engine one = engine({.context = 64});
  EXPECT_EQ(all(*one.submit(request(0, 14, 50))).size(), 50u);
}

// The hidden states of a prompt straight from the forward pass, in one piece.
TEST_F(EngineTest, AnEmbeddingIsThePooledHiddenStatesWhateverTheCompany) {
  const std::vector<Token> prompt = request(9, 45).prompt;
  model::PagePool pages(device_, model_->sizes(), math::KvType::f16, 64);
  model::Transformer transformer(model_, device_,
                                 {.precision = math::Precision::fast, .context = 64});
  model::Sequence sequence(pages);
  std::vector<model::Row> rows;
  for (const Token token : prompt) rows.push_back({token, &sequence, model::Wants::hidden});
  const std::size_t width = model_->sizes().width;
  std::vector<double> sums(width);
  std::vector<float> last(width);
  transformer.forward(rows, {}, [&](const model::Output& output) {
    for (std::size_t i = 0; i < output.rows.size(); ++i) {
      const float* hidden = math::host_floats(output.values) + i * output.values.stride;
      for (std::size_t column = 0; column < width; ++column) sums[column] += double{hidden[column]};
      last.assign(hidden, hidden + width);
    }
  });

  Engine crowded = engine({.context = 64, .positions = 256, .max_rows = 8});
  const auto embedding = [&](Pooling pooling) {
    Generation generation;
    generation.prompt = prompt;
    generation.pooling = pooling;
    generation.cache_scope = "tenant";
    const auto stream = crowded.submit(std::move(generation));
    while (stream->next()) {
    }
    return stream->finished().embedding;
  };
  std::vector<std::shared_ptr<Stream>> company;
  for (std::uint64_t seed = 0; seed < 4; ++seed)
    company.push_back(crowded.submit(request(seed, 9, 40)));
  for (int again = 0; again < 2; ++again) {  // the second time with its prefix in the cache
    const std::vector<float> mean = embedding(Pooling::mean);
    ASSERT_EQ(mean.size(), width);
    for (std::size_t column = 0; column < width; ++column)
      EXPECT_EQ(mean[column],
                static_cast<float>(sums[column] / static_cast<double>(prompt.size())));
    EXPECT_EQ(embedding(Pooling::last), last);
  }
}

TEST_F(EngineTest, AnEmbeddingHasNoAnswer) {
  Engine one = engine({.context = 64});
  Generation generation = request(1);
  generation.pooling = Pooling::mean;
  EXPECT_THROW(one.submit(std::move(generation)), base::Error);
}

}  // namespace
}  // namespace malina::engine
