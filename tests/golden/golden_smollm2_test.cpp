// SmolLM2-135M-Instruct against Hugging Face Transformers on the dequantised weights. The golden
// values and what they mean: make_smollm2.py and make_perplexity.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "scoring.h"

namespace malina {
namespace {

using nlohmann::json;
using text::Token;
using Tokens = std::vector<Token>;

const std::filesystem::path kFolder = MALINA_SOURCE_DIR "/tests/golden";

json read_json(const std::string& name) {
  std::ifstream stream(kFolder / name);
  return json::parse(stream);
}

std::string model_path() {
  if (const char* path = std::getenv("MALINA_TEST_MODEL")) return path;
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "") +
         "/.cache/malina/SmolLM2-135M-Instruct.Q4_1.gguf";
}

struct Mode {
  math::Precision precision;
  math::KvType kv_type;
};
constexpr Mode kExact{math::Precision::exact, math::KvType::f32};
constexpr Mode kDefault{math::Precision::fast, math::KvType::f16};

// The model, loaded once for all tests.
struct Loaded {
  std::shared_ptr<const format::Checkpoint> checkpoint = format::Checkpoint::open(model_path());
  base::ThreadPool pool;
  math::CpuDevice device{pool};
  std::shared_ptr<const model::Model> model = model::Model::load(checkpoint, device, pool);
  std::shared_ptr<const text::Tokenizer> tokenizer =
      text::Tokenizer::create(checkpoint->metadata());
};

Loaded& loaded() {
  static Loaded instance;
  return instance;
}

class SmolLm2 : public testing::Test {
 protected:
  static constexpr std::size_t kContext = 512;

  void open(const Mode& mode) {
    auto& [checkpoint, pool, device, model, tokenizer] = loaded();
    pages_.emplace(device, model->sizes(), mode.kv_type, kContext);
    transformer_.emplace(
        model, device,
        model::TransformerOptions{.precision = mode.precision, .max_rows = 0, .context = kContext});
  }
  void score(std::span<const Token> tokens, std::size_t first, const UseLogits& use) {
    malina::score(*transformer_, *pages_, tokens, first, use);
  }
  // Each position of each golden answer, with the logits that this program has there.
  using UsePosition =
      std::function<void(const json& answer, std::size_t position, std::span<const float> logits)>;
  void score_answers(const json& golden, const UsePosition& use) {
    for (const json& answer : golden.at("answers")) {
      Tokens tokens = answer.at("tokens");
      const std::size_t first = tokens.size() - 1;
      const Tokens given = answer.at("answer");
      tokens.insert(tokens.end(), given.begin(), given.end() - 1);
      score(tokens, first,
            [&](std::size_t i, std::span<const float> logits) { use(answer, i - first, logits); });
    }
  }
  double perplexity(const json& golden);

  std::optional<model::PagePool> pages_;
  std::optional<model::Transformer> transformer_;
};

TEST_F(SmolLm2, PromptsHaveTheReferencesTokens) {
  const json golden = read_json("smollm2/answers.json");
  ASSERT_EQ(golden.at("answers").size(), 20u);
  for (const json& answer : golden.at("answers"))
    EXPECT_EQ(loaded().tokenizer->encode(answer.at("rendered").get<std::string>(),
                                         {.add_bos = false, .parse_special = true}),
              answer.at("tokens").get<Tokens>());
}

TEST_F(SmolLm2, ExactModeChoosesTheReferencesTokens) {
  const json golden = read_json("smollm2/answers.json");
  const double tolerance = 2e-4 * golden.at("max_abs_logit").get<double>();
  open(kExact);
  std::size_t positions = 0;
  std::size_t clear = 0;
  double worst = 0;
  score_answers(golden, [&](const json& answer, std::size_t at, std::span<const float> logits) {
    ++positions;
    const auto best = argmax(logits);
    worst = std::max(worst, std::abs(logits[static_cast<std::size_t>(best)] -
                                     answer.at("logit")[at].get<double>()));
    const auto token = answer.at("answer")[at].get<std::size_t>();
    worst = std::max(worst, std::abs(logits[token] - log_sum_exp(logits) -
                                     answer.at("logprob")[at].get<double>()));
    if (at == 0)
      for (std::size_t i = 0; i < golden.at("probe_ids").size(); ++i)
        worst = std::max(worst, std::abs(logits[golden.at("probe_ids")[i].get<std::size_t>()] -
                                         answer.at("probe")[i].get<double>()));
    if (answer.at("margin")[at].get<double>() <= 2 * tolerance) return;
    ++clear;
    EXPECT_EQ(best, answer.at("argmax")[at].get<std::ptrdiff_t>()) << "at " << at;
  });
  RecordProperty("largest_difference", std::to_string(worst));
  EXPECT_EQ(positions, 20u * 128u);
  EXPECT_GE(static_cast<double>(clear), 0.9 * static_cast<double>(positions));
  EXPECT_LE(worst, tolerance);
}

TEST_F(SmolLm2, DefaultModeAgreesInNearlyAllTokens) {
  open(kDefault);
  std::size_t positions = 0;
  std::size_t same = 0;
  score_answers(read_json("smollm2/answers.json"),
                [&](const json& answer, std::size_t at, std::span<const float> logits) {
                  ++positions;
                  same += argmax(logits) == answer.at("argmax")[at].get<std::ptrdiff_t>();
                });
  const double agreement = static_cast<double>(same) / static_cast<double>(positions);
  RecordProperty("agreement", std::to_string(agreement));
  EXPECT_EQ(positions, 20u * 128u);
  EXPECT_GE(agreement, 0.98);
}

double SmolLm2::perplexity(const json& golden) {
  std::ifstream stream(kFolder / "perplexity/text.txt", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  const Tokens tokens = loaded().tokenizer->encode(text);
  EXPECT_EQ(tokens.size(), golden.at("tokens").get<std::size_t>());
  double sum = 0;
  std::size_t scored = 0;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kContext) {
    const auto window = std::span(tokens).subspan(begin, std::min(kContext, tokens.size() - begin));
    score(window.first(window.size() - 1), 0, [&](std::size_t i, std::span<const float> logits) {
      sum += log_sum_exp(logits) - logits[static_cast<std::size_t>(window[i + 1])];
      ++scored;
    });
  }
  EXPECT_EQ(scored, golden.at("scored").get<std::size_t>());
  const double result = std::exp(sum / static_cast<double>(scored));
  RecordProperty("perplexity", std::to_string(result));
  return result;
}

TEST_F(SmolLm2, ExactModeHasTheReferencesPerplexity) {
  const json golden = read_json("perplexity/reference.json");
  const double expected = golden.at("perplexity");
  open(kExact);
  EXPECT_NEAR(perplexity(golden), expected, 0.001 * expected);
}

TEST_F(SmolLm2, DefaultModeHasNearlyTheReferencesPerplexity) {
  const json golden = read_json("perplexity/reference.json");
  const double expected = golden.at("perplexity");
  open(kDefault);
  EXPECT_NEAR(perplexity(golden), expected, 0.005 * expected);
}

TEST_F(SmolLm2, EngineScoresATextAsTheReference) {
  constexpr double kTolerance = 2e-3;
  auto& [checkpoint, pool, device, model, tokenizer] = loaded();
  engine::StepArbiter arbiter;
  engine::Engine engine(model, tokenizer, device, arbiter,
                        {.precision = kExact.precision, .kv_type = kExact.kv_type, .context = 128});
  const json golden = read_json("smollm2/echo.json");
  ASSERT_EQ(golden.at("texts").size(), 2u);
  for (const json& text : golden.at("texts")) {
    engine::Generation generation;
    generation.prompt = tokenizer->encode(text.at("text").get<std::string>());
    EXPECT_EQ(generation.prompt, text.at("tokens").get<Tokens>());
    generation.log_probabilities = 5;
    generation.score_prompt = true;
    const auto stream = engine.submit(std::move(generation));
    std::size_t index = 0;
    for (; const auto event = stream->next(); ++index) {
      ASSERT_LT(index, text.at("tokens").size());
      EXPECT_EQ(event->token, text.at("tokens")[index].get<Token>());
      if (index == 0) {
        EXPECT_FALSE(event->log_probability.has_value());
        continue;
      }
      EXPECT_NEAR(event->log_probability.value(), text.at("token_logprobs")[index].get<double>(),
                  kTolerance);
      ASSERT_GE(event->top.size(), 5u);
      for (std::size_t rank = 0; rank < 5; ++rank) {
        EXPECT_NEAR(event->top[rank].second, text.at("top_logprobs")[index - 1][rank].get<double>(),
                    kTolerance);
      }
      EXPECT_EQ(event->top[0].first, text.at("top_ids")[index - 1][0].get<Token>());
    }
    EXPECT_EQ(index, text.at("tokens").size());
  }
}

}  // namespace
}  // namespace malina
