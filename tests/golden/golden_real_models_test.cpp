// Real models of several families against Hugging Face Transformers on the dequantised weights
// (make_real_models.py). Not part of ./test.sh, since the models are large: tests/real_models.sh.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/engine.h"
#include "scoring.h"

namespace malina {
namespace {

using nlohmann::json;
using Tokens = std::vector<std::int32_t>;

const std::filesystem::path kFolder = MALINA_SOURCE_DIR "/tests/golden";

struct Mode {
  math::Precision precision;
  math::KvType kv_type;
};
constexpr Mode kExact{math::Precision::exact, math::KvType::f32};
constexpr Mode kDefault{math::Precision::fast, math::KvType::f16};

json read_json(const std::filesystem::path& path) {
  std::ifstream stream(path);
  EXPECT_TRUE(stream) << path;
  return json::parse(stream);
}

std::filesystem::path cache() {
  if (const char* path = std::getenv("MALINA_CACHE")) return path;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "") / ".cache/malina";
}

// One model at a time is in memory.
struct Loaded {
  explicit Loaded(const std::string& name)
      : answers(read_json(kFolder / "real" / name / "answers.json")),
        perplexity(read_json(kFolder / "real" / name / "perplexity.json")),
        checkpoint(format::Checkpoint::open(cache() / answers.at("file").get<std::string>())),
        model(model::Model::load(checkpoint, device, pool)),
        tokenizer(text::Tokenizer::create(checkpoint->metadata())) {}

  json answers, perplexity;
  std::shared_ptr<const format::Checkpoint> checkpoint;
  base::ThreadPool pool;
  math::CpuDevice device{pool};
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
};

class RealModel : public testing::TestWithParam<std::string> {
 protected:
  static constexpr std::size_t kContext = 512;

  static Loaded& loaded() {
    static std::string name;
    static std::unique_ptr<Loaded> instance;
    if (name != GetParam()) {
      instance.reset();
      instance = std::make_unique<Loaded>(GetParam());
      name = GetParam();
    }
    return *instance;
  }
  void open(const Mode& mode) {
    Loaded& model = loaded();
    pages_.emplace(model.device, model.model->sizes(), mode.kv_type, kContext);
    transformer_.emplace(
        model.model, model.device,
        model::TransformerOptions{.precision = mode.precision, .max_rows = 0, .context = kContext});
  }
  using UsePosition = std::function<void(const json&, std::size_t, std::span<const float>)>;
  void score_answers(const UsePosition& use) {
    for (const json& answer : loaded().answers.at("answers")) {
      Tokens tokens = answer.at("tokens");
      const std::size_t first = tokens.size() - 1;
      const Tokens given = answer.at("answer");
      tokens.insert(tokens.end(), given.begin(), given.end() - 1);
      score(*transformer_, *pages_, tokens, first,
            [&](std::size_t i, std::span<const float> logits) { use(answer, i - first, logits); });
    }
  }
  double perplexity();

  std::optional<model::PagePool> pages_;
  std::optional<model::Transformer> transformer_;
};

TEST_P(RealModel, PromptsHaveTheReferencesTokens) {
  const bool bos = loaded().answers.at("adds_bos");
  for (const json& answer : loaded().answers.at("answers")) {
    const std::vector<text::Span> rendered{{answer.at("rendered").get<std::string>(), true}};
    EXPECT_EQ(loaded().tokenizer->encode(rendered, {.add_bos = bos}),
              answer.at("tokens").get<Tokens>())
        << rendered[0].text;
  }
}

TEST_P(RealModel, ExactModeChoosesTheReferencesTokens) {
  const double tolerance = 2e-4 * loaded().answers.at("max_abs_logit").get<double>();
  open(kExact);
  std::size_t positions = 0;
  std::size_t clear = 0;
  double worst = 0;
  score_answers([&](const json& answer, std::size_t at, std::span<const float> logits) {
    ++positions;
    const auto best = argmax(logits);
    worst = std::max(worst, std::abs(logits[static_cast<std::size_t>(best)] -
                                     answer.at("logit")[at].get<double>()));
    const auto& ids = loaded().answers.at("probe_ids");
    for (std::size_t i = 0; at == 0 && i < ids.size(); ++i)
      worst = std::max(worst, std::abs(logits[ids[i].get<std::size_t>()] -
                                       answer.at("probe")[i].get<double>()));
    if (answer.at("margin")[at].get<double>() <= 2 * tolerance) return;
    ++clear;
    EXPECT_EQ(best, answer.at("argmax")[at].get<std::ptrdiff_t>()) << "at " << at;
  });
  RecordProperty("largest_difference", std::to_string(worst));
  std::printf("%s: exact, largest difference %.2e of %.2e, %zu of %zu clear\n", GetParam().c_str(),
              worst, tolerance, clear, positions);
  EXPECT_EQ(positions, 20u * 128u);
  EXPECT_GE(static_cast<double>(clear), 0.9 * static_cast<double>(positions));
  EXPECT_LE(worst, tolerance);
}

TEST_P(RealModel, DefaultModeAgreesInNearlyAllTokens) {
  open(kDefault);
  std::size_t positions = 0;
  std::size_t same = 0;
  score_answers([&](const json& answer, std::size_t at, std::span<const float> logits) {
    ++positions;
    same += argmax(logits) == answer.at("argmax")[at].get<std::ptrdiff_t>();
  });
  const double agreement = static_cast<double>(same) / static_cast<double>(positions);
  std::printf("%s: default, %.4f agree\n", GetParam().c_str(), agreement);
  EXPECT_GE(agreement, 0.98);
}

double RealModel::perplexity() {
  const json& golden = loaded().perplexity;
  std::ifstream stream(kFolder / "perplexity/text.txt", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  Tokens tokens = loaded().tokenizer->encode(text);
  tokens.resize(golden.at("tokens").get<std::size_t>());
  const bool bos = loaded().answers.at("adds_bos");
  const std::size_t own = kContext - (bos ? 1 : 0);
  double sum = 0;
  std::size_t scored = 0;
  for (std::size_t begin = 0; begin < tokens.size(); begin += own) {
    Tokens window;
    if (bos) window.push_back(loaded().tokenizer->bos().value());
    for (std::size_t i = begin; i < std::min(begin + own, tokens.size()); ++i)
      window.push_back(tokens[i]);
    score(*transformer_, *pages_, std::span(window).first(window.size() - 1), 0,
          [&](std::size_t i, std::span<const float> logits) {
            sum += log_sum_exp(logits) - logits[static_cast<std::size_t>(window[i + 1])];
            ++scored;
          });
  }
  EXPECT_EQ(scored, golden.at("scored").get<std::size_t>());
  const double result = std::exp(sum / static_cast<double>(scored));
  std::printf("%s: perplexity %.5f, reference %.5f\n", GetParam().c_str(), result,
              golden.at("perplexity").get<double>());
  return result;
}

TEST_P(RealModel, ExactModeHasTheReferencesPerplexity) {
  const double expected = loaded().perplexity.at("perplexity");
  open(kExact);
  EXPECT_NEAR(perplexity(), expected, 0.001 * expected);
}

TEST_P(RealModel, DefaultModeHasNearlyTheReferencesPerplexity) {
  const double expected = loaded().perplexity.at("perplexity");
  open(kDefault);
  EXPECT_NEAR(perplexity(), expected, 0.005 * expected);
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder / "real"))
    all.push_back(entry.path().filename());
  std::sort(all.begin(), all.end());
  return all;
}

INSTANTIATE_TEST_SUITE_P(Golden, RealModel, testing::ValuesIn(names()), [](const auto& parameter) {
  std::string name = parameter.param;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

}  // namespace
}  // namespace malina
