// Gradients of all weights of every family's tiny model against PyTorch's in double precision, and
// the tensors of a model that is trained.
#include "model/trainable_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "math/ops/cross_entropy.h"
#include "math/ops/linear.h"
#include "math/ops/weight_gradients.h"
#include "model/training_pass.h"

namespace malina::model {
namespace {

namespace fs = std::filesystem;
using What = TrainableWeights::What;
const fs::path kGolden = MALINA_SOURCE_DIR "/tests/golden";

std::shared_ptr<const format::Checkpoint> checkpoint_of(const std::string& name) {
  fs::path file = kGolden / "families" / (name + ".gguf");
  if (!fs::exists(file)) file = kGolden / "tiny" / (name + ".gguf");
  return format::Checkpoint::open(file);
}

// tests/golden/make_gradients.py has the same.
std::vector<std::int32_t> text(int salt, int count) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((salt * 53 + i * 37 + i * i * 11) % 200);
  return tokens;
}

// One tiny model in float32 with a gradient for each weight, and the loss of make_gradients.py.
class Trained {
 public:
  explicit Trained(const std::string& name, unsigned threads = 2)
      : pool_(threads),
        model_(Model::load(in_float32(checkpoint_of(name)), device_, pool_)),
        weights_(model_, device_) {}

  double loss(bool recompute, bool back = true) {
    const auto first = text(0, 11), second = text(1, 40);
    const std::vector<TrainingText> texts{{.tokens = first}, {.tokens = second}};
    std::vector<std::size_t> wanted;
    std::vector<std::int32_t> targets;
    std::vector<float> factors;
    for (const auto* tokens : {&first, &second})
      for (std::size_t i = 0; i + 1 < tokens->size(); ++i) {
        wanted.push_back((tokens == &first ? 0 : first.size()) + i);
        targets.push_back((*tokens)[i + 1]);
        factors.push_back(i % 2 == 0 ? 1.0F : 0.5F);
      }
    TrainingPass pass(model_, device_, {.max_rows = 128, .recompute = recompute});
    const math::Slice hidden = pass.forward(texts, nullptr, wanted);
    const auto scores = device_.allocate(wanted.size() * model_->sizes().vocab * sizeof(float));
    const auto slopes = device_.allocate(wanted.size() * model_->sizes().width * sizeof(float));
    const auto logits = math::float_slice(*scores, 0, wanted.size(), model_->sizes().vocab);
    const auto gradient = math::float_slice(*slopes, 0, wanted.size(), model_->sizes().width);
    const std::array parts{
        math::LinearPart{.weight = model_->head(), .bias = model_->head_bias(), .output = logits}};
    device_.run(math::Linear{
        .input = hidden, .parts = parts, .scratch = {}, .precision = math::Precision::exact});
    std::vector<double> losses(wanted.size());
    device_.run(math::CrossEntropy{logits, targets, factors, losses});
    double loss = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) loss += losses[i] * double{factors[i]};
    if (!back) return loss;
    device_.run(math::LinearBackward{logits, model_->head(), gradient});
    device_.run(math::LinearWeightGradient{hidden, logits, weights_.gradient(model_->head())});
    if (model_->head_bias())
      device_.run(math::BiasGradient{logits, weights_.gradient(model_->head_bias())});
    pass.backward(gradient, weights_);
    return loss;
  }

  std::vector<float> values(const std::string& name, What what) {
    const format::TensorInfo& tensor = *model_->checkpoint().find(name);
    std::vector<float> all(tensor.rows() * tensor.columns());
    for (std::uint64_t row = 0; row < tensor.rows(); ++row)
      weights_.read_row(tensor, row, what,
                        std::span(all).subspan(row * tensor.columns(), tensor.columns()));
    return all;
  }
  std::vector<float> gradients() {
    return {weights_.gradients().begin(), weights_.gradients().end()};
  }

  TrainableWeights& weights() { return weights_; }
  const std::shared_ptr<const Model>& model() const { return model_; }
  math::CpuDevice& device() { return device_; }

 private:
  base::ThreadPool pool_;
  math::CpuDevice device_{pool_};
  std::shared_ptr<const Model> model_;
  TrainableWeights weights_;
};

class AllGradients : public ::testing::TestWithParam<std::string> {};

TEST_P(AllGradients, AreThoseOfPyTorchInDoublePrecision) {
  Trained trained(GetParam());
  std::ifstream index(kGolden / "gradients" / (GetParam() + ".weights.json"));
  const auto golden = nlohmann::ordered_json::parse(index);  // its values stand in its order
  std::vector<float> expected(golden.at("values").get<std::size_t>());
  std::ifstream file(kGolden / "gradients" / (GetParam() + ".weights.f32"), std::ios::binary);
  file.read(reinterpret_cast<char*>(expected.data()),
            static_cast<std::streamsize>(expected.size() * sizeof(float)));
  ASSERT_TRUE(file);

  const double loss = golden.at("loss").get<double>();
  EXPECT_NEAR(trained.loss(false), loss, 1e-6 * loss);
  const auto whole = trained.gradients();
  std::size_t checked = 0, at = 0;
  for (const auto& [name, facts] : golden.at("tensors").items()) {
    ++checked;
    const auto actual = trained.values(name, What::gradients);
    ASSERT_EQ(actual.size(), facts.at("size").get<std::size_t>()) << name;
    double squares = 0, largest = 1e-30, apart = 0;
    for (const float value : actual) squares += double{value} * double{value};
    EXPECT_NEAR(std::sqrt(squares), facts.at("norm").get<double>(),
                1e-4 * facts.at("norm").get<double>())
        << name;
    const std::size_t first = at;
    for (std::size_t i = 0; i < actual.size(); i += facts.at("step").get<std::size_t>(), ++at) {
      largest = std::max(largest, std::abs(double{expected[at]}));
      apart = std::max(apart, std::abs(double{expected[at]} - double{actual[i]}));
    }
    EXPECT_LE(apart, 1e-4 * largest) << name << ", values from " << first;
  }
  EXPECT_EQ(at, expected.size());
  std::size_t trainable = 0;
  for (const auto& tensor : trained.model()->checkpoint().tensors())
    trainable += trained.weights().has(tensor) ? 1 : 0;
  EXPECT_EQ(checked, trainable);  // none was left out

  std::fill(trained.weights().gradients().begin(), trained.weights().gradients().end(), 0.0F);
  trained.loss(true);
  EXPECT_EQ(trained.gradients(), whole);
  Trained alone(GetParam(), 1);
  alone.loss(false);
  EXPECT_EQ(alone.gradients(), whole);
}

INSTANTIATE_TEST_SUITE_P(Families, AllGradients,
                         ::testing::Values("untied_f32", "window_8", "qwen2", "qwen3", "phi2",
                                           "phi3", "phi3_long", "gemma3", "gemma3_scaled",
                                           "stablelm"),
                         [](const auto& family) { return family.param; });

// A small step against the gradient lowers the loss by the step times its squared norm: of every
// place in memory, padding too.
TEST(TrainableWeights, AStepAgainstTheGradientLowersTheLoss) {
  for (const std::string name : {"untied_f32", "tied_f16", "phi3", "gemma3"}) {
    Trained trained(name);
    const double before = trained.loss(false);
    double squares = 0;
    for (const float value : trained.weights().gradients())
      squares += double{value} * double{value};
    const double rate = 1e-4 * before / squares;
    const auto gradients = trained.weights().gradients();
    const auto parameters = trained.weights().parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] -= static_cast<float>(rate * double{gradients[i]});
    const double lowered = before - trained.loss(false, false);
    EXPECT_NEAR(lowered, 1e-4 * before, 0.1e-4 * before) << name;
  }
}

TEST(TrainableWeights, AreReadBackAsTheTensorsOfTheFile) {
  for (const std::string name : {"q4_1", "phi3", "phi2", "gemma3", "tied_f16"}) {
    Trained trained(name);
    const auto file = checkpoint_of(name);
    const auto now = trained_checkpoint(trained.weights());
    ASSERT_EQ(now->tensors().size(), file->tensors().size());
    for (const auto& tensor : file->tensors()) {
      std::vector<std::byte> bytes(tensor.bytes);
      file->read(tensor, 0, bytes);
      const format::TensorInfo& own = *now->find(tensor.name);
      std::vector<std::byte> read(own.bytes);
      now->read(own, 0, read);
      if (is_rotary_table(tensor.name)) {
        EXPECT_EQ(read, bytes);
        continue;
      }
      EXPECT_EQ(own.encoding->name, "f32");
      const std::size_t columns = tensor.columns();
      std::vector<float> values(columns);
      for (std::uint64_t row = 0; row < tensor.rows(); ++row) {
        tensor.encoding->decode(bytes.data() + row * tensor.encoding->row_bytes(columns), columns,
                                values.data());
        ASSERT_EQ(std::memcmp(values.data(), read.data() + row * columns * sizeof(float),
                              columns * sizeof(float)),
                  0)
            << name << " " << tensor.name << " row " << row;
      }
    }
    // What is changed in memory is what is read, also from the middle.
    const format::TensorInfo& norm = *now->find("output_norm.weight");
    for (float& value : trained.weights().parameters()) value += 1;
    std::vector<float> changed(norm.columns() - 3);
    now->read(norm, 3 * sizeof(float), std::as_writable_bytes(std::span(changed)));
    const auto expected = trained.values("output_norm.weight", What::weights);
    EXPECT_TRUE(std::equal(changed.begin(), changed.end(), expected.begin() + 3));
  }
}

TEST(TrainableWeights, ExpertsAreRefusedByName) {
  base::ThreadPool pool(1);
  math::CpuDevice device(pool);
  const auto model = Model::load(in_float32(checkpoint_of("mixtral")), device, pool);
  try {
    const TrainableWeights weights(model, device);
    FAIL() << "a model with experts was taken";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::unsupported);
    EXPECT_NE(std::string(error.what()).find("Mixtral"), std::string::npos);
  }
}

TEST(TrainableWeights, ArePlannedWithoutMemory) {
  math::PlanningDevice plan;
  const auto model = Model::plan(in_float32(checkpoint_of("q4_1")), plan);
  const std::size_t before = plan.allocated_bytes();
  const TrainableWeights weights(model, plan);
  EXPECT_EQ(plan.allocated_bytes() - before, model->weight_bytes());
  EXPECT_EQ(before, model->weight_bytes());
}

}  // namespace
}  // namespace malina::model
