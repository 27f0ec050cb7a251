// Gradients of every family's tiny model against PyTorch's in double precision, and what must not
// change them: packing, a shared prefix, recomputation, the number of threads.
#include "model/training_pass.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "math/ops/cross_entropy.h"
#include "model/transformer.h"

namespace malina::model {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = MALINA_SOURCE_DIR "/tests/golden";
constexpr std::size_t kRank = 2;
constexpr float kScale = 2;

// tests/golden/make_gradients.py has the same formulas.
float formula(std::uint64_t salt, std::uint64_t index) {
  std::uint32_t mixed = static_cast<std::uint32_t>(index + salt * 100003 + 1) * 2654435761U;
  mixed = (mixed ^ (mixed >> 15)) * 2246822519U;
  return static_cast<float>((static_cast<double>(mixed >> 8) / 16777216.0 - 0.5) * 0.2);
}

std::vector<std::int32_t> text(int salt, int count) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((salt * 53 + i * 37 + i * i * 11) % 200);
  return tokens;
}

// One tiny model with a trainable adapter, and the loss of make_gradients.py.
class Trained {
 public:
  explicit Trained(const std::string& name, unsigned threads = 2) : pool_(threads) {
    fs::path file = kGolden / "families" / (name + ".gguf");
    if (!fs::exists(file)) file = kGolden / "tiny" / (name + ".gguf");
    model_ = Model::load(format::Checkpoint::open(file), device_, pool_);
    adapter_ = std::make_unique<TrainableAdapter>(
        *model_, LowRankOptions{.rank = kRank, .alpha = kScale * kRank}, 1, device_);
    std::uint64_t salt = 0;
    for (const auto& matrix : adapter_->matrices()) {
      for (std::size_t i = 0; i < matrix.rows * matrix.columns; ++i)
        adapter_->parameters()[matrix.offset + i] = formula(salt, i);
      ++salt;
    }
  }

  TrainingPass pass(TrainingPassOptions options = {}) {
    options.max_rows = 128;
    options.rank = kRank;
    return TrainingPass(model_, device_, options);
  }

  // Adds the gradients of one batch; returns its loss. Weights and targets by row; no target: -1.
  double add(TrainingPass& pass, std::span<const TrainingText> texts,
             std::span<const std::int32_t> targets, std::span<const float> weights) {
    std::vector<std::size_t> wanted;
    std::vector<std::int32_t> kept_targets;
    std::vector<float> kept_weights;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i] < 0) continue;
      wanted.push_back(i);
      kept_targets.push_back(targets[i]);
      kept_weights.push_back(weights[i]);
    }
    const math::Slice hidden = pass.forward(texts, adapter_.get(), wanted);
    const auto logits_buffer = device_.allocate(wanted.size() * model_->sizes().vocab * 4);
    const auto gradient_buffer = device_.allocate(wanted.size() * model_->sizes().width * 4);
    const math::Slice logits =
        math::float_slice(*logits_buffer, 0, wanted.size(), model_->sizes().vocab);
    const math::Slice gradient =
        math::float_slice(*gradient_buffer, 0, wanted.size(), model_->sizes().width);
    const std::array parts{
        math::LinearPart{.weight = model_->head(), .bias = model_->head_bias(), .output = logits}};
    device_.run(math::Linear{
        .input = hidden, .parts = parts, .scratch = {}, .precision = math::Precision::exact});
    std::vector<double> losses(wanted.size());
    device_.run(math::CrossEntropy{logits, kept_targets, kept_weights, losses});
    device_.run(math::LinearBackward{logits, model_->head(), gradient});
    pass.backward(gradient, *adapter_);
    double loss = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) loss += losses[i] * double{kept_weights[i]};
    return loss;
  }

  // Both texts of the golden values in one batch, or one after the other.
  double golden_loss(TrainingPass& pass, bool packed) {
    const auto first = text(0, 11), second = text(1, 40);
    const auto rows = [](const std::vector<std::int32_t>& tokens, auto& targets, auto& weights) {
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        targets.push_back(i + 1 < tokens.size() ? tokens[i + 1] : -1);
        weights.push_back(i % 2 == 0 ? 1.0F : 0.5F);
      }
    };
    double loss = 0;
    std::vector<std::int32_t> targets;
    std::vector<float> weights;
    rows(first, targets, weights);
    std::vector<TrainingText> texts{{.tokens = first}};
    if (!packed) {
      loss += add(pass, texts, targets, weights);
      texts.clear(), targets.clear(), weights.clear();
    }
    rows(second, targets, weights);
    texts.push_back({.tokens = second});
    return loss + add(pass, texts, targets, weights);
  }

  std::vector<float> gradients() {
    std::vector<float> all;
    for (const auto& matrix : adapter_->matrices()) {
      const float* first = adapter_->gradients().data() + matrix.offset;
      all.insert(all.end(), first, first + matrix.rows * matrix.columns);
    }
    return all;
  }
  void forget() { std::fill(adapter_->gradients().begin(), adapter_->gradients().end(), 0.0F); }

  const Model& model() const { return *model_; }
  std::shared_ptr<const Model> shared() const { return model_; }
  math::CpuDevice& device() { return device_; }
  TrainableAdapter& adapter() { return *adapter_; }

 private:
  base::ThreadPool pool_;
  math::CpuDevice device_{pool_};
  std::shared_ptr<const Model> model_;
  std::unique_ptr<TrainableAdapter> adapter_;
};

// Largest difference, relative to the largest value of the same matrix.
double difference(Trained& trained, const std::vector<float>& actual,
                  const std::vector<float>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double worst = 0;
  std::size_t first = 0;
  for (const auto& matrix : trained.adapter().matrices()) {
    double largest = 1e-30, apart = 0;
    for (std::size_t i = first; i < first + matrix.rows * matrix.columns; ++i) {
      largest = std::max(largest, std::abs(double{expected[i]}));
      apart = std::max(apart, std::abs(double{expected[i]} - double{actual[i]}));
    }
    if (!(apart / largest <= worst)) worst = apart / largest;  // a NaN stays
    first += matrix.rows * matrix.columns;
  }
  return worst;
}

class Gradients : public ::testing::TestWithParam<std::string> {};

TEST_P(Gradients, AreThoseOfPyTorchInDoublePrecision) {
  Trained trained(GetParam());
  std::ifstream index(kGolden / "gradients" / (GetParam() + ".json"));
  const auto golden = nlohmann::json::parse(index);
  std::vector<float> expected(golden.at("values").get<std::size_t>());
  std::ifstream values(kGolden / "gradients" / (GetParam() + ".f32"), std::ios::binary);
  values.read(reinterpret_cast<char*>(expected.data()),
              static_cast<std::streamsize>(expected.size() * sizeof(float)));
  ASSERT_TRUE(values);

  TrainingPass pass = trained.pass();
  EXPECT_NEAR(trained.golden_loss(pass, true), golden.at("loss").get<double>(),
              1e-6 * golden.at("loss").get<double>());
  const auto packed = trained.gradients();
  EXPECT_LT(difference(trained, packed, expected), 1e-4);

  trained.forget();
  trained.golden_loss(pass, false);  // accumulated over two batches
  EXPECT_LT(difference(trained, trained.gradients(), packed), 1e-5);

  trained.forget();
  TrainingPass frugal = trained.pass({.recompute = true});
  if (trained.model().sizes().layers > 1) {
    EXPECT_LT(frugal.scratch_bytes(), pass.scratch_bytes());
  }
  trained.golden_loss(frugal, true);
  EXPECT_EQ(trained.gradients(), packed);

  Trained alone(GetParam(), 1);
  TrainingPass single = alone.pass();
  alone.golden_loss(single, true);
  EXPECT_EQ(alone.gradients(), packed);
}

INSTANTIATE_TEST_SUITE_P(Families, Gradients,
                         ::testing::Values("untied_f32", "window_8", "qwen2", "qwen3", "phi2",
                                           "phi3", "phi3_long", "mixtral", "mixtral_ties", "gemma3",
                                           "gemma3_scaled", "stablelm"),
                         [](const auto& family) { return family.param; });

// Eight bits both ways: near the exact gradients, and the same for any number of threads.
TEST(TrainingPass, FastGradientsAreNearTheExactOnes) {
  Trained trained("q4_1");
  TrainingPass exact = trained.pass();
  const double loss = trained.golden_loss(exact, true);
  const auto expected = trained.gradients();
  trained.forget();
  TrainingPass fast = trained.pass({.precision = math::Precision::fast});
  EXPECT_NEAR(trained.golden_loss(fast, true), loss, 0.02 * loss);
  const auto actual = trained.gradients();
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    apart += std::pow(double{actual[i]} - double{expected[i]}, 2);
    size += std::pow(double{expected[i]}, 2);
  }
  EXPECT_GT(apart, 0);
  EXPECT_LT(std::sqrt(apart / size), 0.1);
  Trained alone("q4_1", 1);
  TrainingPass single = alone.pass({.precision = math::Precision::fast});
  alone.golden_loss(single, true);
  EXPECT_EQ(alone.gradients(), actual);
}

class SharedPrefix : public ::testing::TestWithParam<std::string> {};

TEST_P(SharedPrefix, ChangesNothing) {
  Trained trained(GetParam());
  TrainingPass pass = trained.pass();
  const auto prefix = text(3, 20);
  const std::vector<std::vector<std::int32_t>> ends{text(4, 5), text(5, 17), text(6, 1)};

  // Each text whole, the last token of each trained.
  std::vector<std::vector<std::int32_t>> whole;
  std::vector<TrainingText> texts;
  std::vector<std::int32_t> targets;
  for (const auto& end : ends) {
    whole.push_back(prefix);
    whole.back().insert(whole.back().end(), end.begin(), end.end());
  }
  for (const auto& tokens : whole) {
    texts.push_back({.tokens = tokens});
    targets.insert(targets.end(), tokens.size() - 1, -1);
    targets.push_back(7);
  }
  const double loss = trained.add(pass, texts, targets, std::vector<float>(targets.size(), 1.0F));
  const auto expected = trained.gradients();

  trained.forget();
  texts = {{.tokens = prefix}};
  targets.assign(prefix.size(), -1);
  for (const auto& end : ends) {
    texts.push_back({.tokens = end, .prefix = 0});
    targets.insert(targets.end(), end.size() - 1, -1);
    targets.push_back(7);
  }
  EXPECT_NEAR(trained.add(pass, texts, targets, std::vector<float>(targets.size(), 1.0F)), loss,
              1e-5 * loss);
  EXPECT_LT(difference(trained, trained.gradients(), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Families, SharedPrefix,
                         ::testing::Values("untied_f32", "window_8", "qwen3", "phi2", "mixtral",
                                           "gemma3"),
                         [](const auto& family) { return family.param; });

// Trainer and server compute the same: the adapter applied by the engine's forward pass.
TEST(TrainingPass, GivesTheHiddenStatesOfTheTransformer) {
  for (const std::string name : {"untied_f32", "phi3", "gemma3", "mixtral"}) {
    Trained trained(name);
    const auto tokens = text(2, 30);
    TrainingPass pass = trained.pass();
    const std::vector<TrainingText> texts{{.tokens = tokens}};
    const std::vector<std::size_t> wanted{4, 29};
    const math::Slice hidden = pass.forward(texts, &trained.adapter(), wanted);

    PagePool pages(trained.device(), trained.model().sizes(), math::KvType::f32, 64);
    Sequence sequence(pages);
    sequence.adapter = trained.adapter().snapshot("", trained.device());
    Transformer transformer(trained.shared(), trained.device(),
                            {.precision = math::Precision::exact});
    std::vector<Row> rows;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      rows.push_back({tokens[i], &sequence,
                      i == wanted[0] || i == wanted[1] ? Wants::hidden : Wants::nothing});
    transformer.forward(rows, {}, [&](const Output& output) {
      ASSERT_EQ(output.values.rows, 2U);
      for (std::size_t i = 0; i < 2 * output.values.columns; ++i)
        EXPECT_NEAR(math::host_floats(output.values)[i], math::host_floats(hidden)[i], 2e-4)
            << name;
    });
  }
}

TEST(TrainingPass, RefusesWhatItCannotTrain) {
  Trained trained("untied_f32");
  TrainingPass pass = trained.pass();
  const auto refused = [&](const std::vector<std::int32_t>& tokens) {
    const std::vector<TrainingText> texts{{.tokens = tokens}};
    EXPECT_THROW(pass.forward(texts, nullptr, {}), base::Error);
  };
  refused({});
  refused({-1});
  refused({1 << 20});
  refused(std::vector<std::int32_t>(129, 1));  // more rows than there is room for
}

TEST(TrainingPass, PlansWithoutMemory) {
  math::PlanningDevice plan;
  const auto checkpoint = format::Checkpoint::open(kGolden / "tiny" / "untied_f32.gguf");
  const auto model = Model::plan(checkpoint, plan);
  TrainableAdapter adapter(*model, {.rank = 4}, 1, plan);
  TrainingPass pass(model, plan, {.max_rows = 64, .rank = 4});
  const std::vector<std::int32_t> tokens(50, 1);
  const std::vector<TrainingText> texts{{.tokens = tokens}};
  const std::vector<std::size_t> wanted{49};
  plan.reset_costs();
  const math::Slice hidden = pass.forward(texts, &adapter, wanted);
  const double forward = plan.total().multiply_adds;
  pass.backward(hidden, adapter);
  // Through frozen weights the way back costs what the way there does, and a little for adapters.
  EXPECT_GT(plan.total().multiply_adds, 1.9 * forward);
  EXPECT_LT(plan.total().multiply_adds, 2.6 * forward);
}

}  // namespace
}  // namespace malina::model
