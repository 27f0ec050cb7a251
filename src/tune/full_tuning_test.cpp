// Training all weights of a model: it learns, stops and goes on with the same bits, and what is
// written is what was measured.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "model/trainable_weights.h"
#include "tune/generation_tuning.h"

namespace malina::tune {
namespace {

const std::string kGolden = MALINA_SOURCE_DIR "/tests/golden/";

// Chats of which the answer follows from the question.
std::string chats(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += R"({"messages":[{"role":"user","content":"number )" + std::to_string(i * 7 % 100) +
            " of " + (i % 2 == 0 ? "apple" : "plum") + R"("},{"role":"assistant","content":")" +
            (i % 2 == 0 ? "red" : "blue") + "\"}]}\n";
  return text;
}

class FullTuningTest : public ::testing::Test {
 protected:
  FullTuningTest() { use(kGolden + "tiny/q4_1.gguf"); }

  void use(const std::string& file) {
    checkpoint_ = format::Checkpoint::open(file);
    tokenizer_ = text::Tokenizer::create(checkpoint_->metadata());
    template_.emplace(std::string(*checkpoint_->metadata().text("tokenizer.chat_template")));
  }

  GenerationRequest request() {
    std::ofstream(directory_.path() / "chats.jsonl") << chats(80);
    GenerationRequest request;
    request.training = {directory_.path() / "chats.jsonl"};
    request.recipe = generation_recipe(true);
    request.recipe.learning_rate = 3e-3F;
    request.recipe.batch = 8;
    request.recipe.epochs = 3;
    request.base_digest = "sha256:" + std::string(64, '0');
    return request;
  }

  struct Trained {
    std::vector<float> weights;  // in memory, padding included
    GenerationReport report;
    double loss_of_file = 0;  // of the validation rows, by the tensors that would be written
  };

  Trained trained(const GenerationRequest& request, unsigned threads) {
    base::ThreadPool pool(threads);
    math::CpuDevice device(pool);
    const auto model = model::Model::load(model::in_float32(checkpoint_), device, pool);
    GenerationTuning tuning(model, *tokenizer_, &*template_, device, request);
    tuning.read();
    EXPECT_TRUE(tuning.run({}));
    Trained result;
    result.report = tuning.report();
    const auto* values = reinterpret_cast<const float*>(model->embedding().buffer->host());
    result.weights.assign(values, values + tuning.weights().size());
    // Another job of the same rows, whose base is what this one made.
    const auto again = model::Model::load(
        model::in_float32(model::trained_checkpoint(tuning.weights())), device, pool);
    GenerationRequest next = request;
    next.snapshot.clear();
    next.recipe.epochs = 1;
    GenerationTuning other(again, *tokenizer_, &*template_, device, next);
    other.read();
    EXPECT_TRUE(other.run({}));
    result.loss_of_file = other.report().before.loss;
    return result;
  }

  static std::string message_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const base::Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  base::TemporaryDirectory directory_;
  std::shared_ptr<const format::Checkpoint> checkpoint_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> template_;
};

TEST_F(FullTuningTest, LearnsWithTheSameBitsForAnyNumberOfThreads) {
  const Trained two = trained(request(), 2);
  EXPECT_LT(two.report.after.loss, two.report.before.loss / 2);
  EXPECT_GT(two.report.after.accuracy, 0.7);
  // The best epoch's weights are those that are written.
  EXPECT_EQ(two.loss_of_file, two.report.after.loss);
  const Trained one = trained(request(), 1);
  ASSERT_EQ(one.weights.size(), two.weights.size());
  EXPECT_EQ(std::memcmp(one.weights.data(), two.weights.data(), one.weights.size() * sizeof(float)),
            0);
}

TEST_F(FullTuningTest, GoesOnFromASnapshotWithTheSameBits) {
  const Trained whole = trained(request(), 2);
  GenerationRequest stopped = request();
  stopped.snapshot = directory_.path() / "snapshot";
  {
    base::ThreadPool pool(2);
    math::CpuDevice device(pool);
    const auto model = model::Model::load(model::in_float32(checkpoint_), device, pool);
    GenerationTuning tuning(model, *tokenizer_, &*template_, device, stopped);
    tuning.read();
    int steps = 0;
    GenerationEvents events;
    events.training.pause = [&] { return ++steps == 5; };
    EXPECT_FALSE(tuning.run(events));
  }
  const Trained resumed = trained(stopped, 1);
  EXPECT_EQ(resumed.weights, whole.weights);
  // What is said of the base is of the base, though its weights were no longer there.
  EXPECT_EQ(resumed.report.before.loss, whole.report.before.loss);
  EXPECT_EQ(resumed.report.after.loss, whole.report.after.loss);
  stopped.recipe.full = false;
  EXPECT_NE(message_of([&] { trained(stopped, 1); }).find("remove it"), std::string::npos);
}

TEST_F(FullTuningTest, StepsAreThoseOfAdamW) {
  // The first step of AdamW moves every weight with a gradient by the learning rate.
  GenerationRequest asked = request();
  asked.recipe.epochs = 1;
  asked.recipe.batch = 4096;  // one step
  asked.recipe.warm_up = 0;
  asked.recipe.learning_rate = 1e-4F;
  base::ThreadPool pool(2);
  math::CpuDevice device(pool);
  const auto model = model::Model::load(model::in_float32(checkpoint_), device, pool);
  const auto before = model::Model::load(model::in_float32(checkpoint_), device, pool);
  GenerationTuning tuning(model, *tokenizer_, &*template_, device, asked);
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const auto values = [](const model::Model& of, const math::Slice& slice) {
    const auto* first = math::host_floats(slice);
    return std::vector<float>(first, first + of.sizes().width);
  };
  const auto old = values(*before, before->layers()[0].attention_norm);
  const auto now = values(*model, model->layers()[0].attention_norm);
  for (std::size_t i = 0; i < old.size(); ++i)
    EXPECT_NEAR(std::abs(now[i] - old[i]), 1e-4, 2e-6) << i;
  const auto old_weight = values(*before, before->layers()[1].down);
  const auto new_weight = values(*model, model->layers()[1].down);
  for (std::size_t i = 0; i < old_weight.size(); ++i)
    EXPECT_NEAR(std::abs(new_weight[i] - old_weight[i]), 1e-4, 2e-6) << i;
}

TEST_F(FullTuningTest, SaysWhatItsMemoryIsFor) {
  const FullTuningMemory memory = full_tuning_memory(checkpoint_, 512, false);
  EXPECT_EQ(memory.moments, 2 * memory.weights);
  EXPECT_GT(memory.activations, full_tuning_memory(checkpoint_, 512, true).activations);
  EXPECT_NO_THROW(memory.check(memory.bytes()));
  const std::string message = message_of([&] { memory.check(memory.bytes() - 1); });
  for (const char* part : {"weights", "gradients", "two moments", "best epoch", "activations"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_NE(message_of([&] {
              full_tuning_memory(format::Checkpoint::open(kGolden + "families/mixtral.gguf"), 512,
                                 false);
            }).find("Mixtral"),
            std::string::npos);
}

TEST_F(FullTuningTest, TheCardAndTheManifestSayWhatWasTrained) {
  base::ThreadPool pool(2);
  math::CpuDevice device(pool);
  const auto model = model::Model::load(model::in_float32(checkpoint_), device, pool);
  GenerationTuning tuning(model, *tokenizer_, &*template_, device, request());
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const GenerationFacts facts{.name = "tiny-colours",
                              .base_name = "tiny",
                              .base_digest = "sha256:0",
                              .base_licence = "apache-2.0",
                              .created = "2026-01-01T00:00:00Z",
                              .version = "1"};
  const std::string card = model_card(tuning.report(), tuning.request(), facts);
  EXPECT_NE(card.find("All weights of tiny"), std::string::npos) << card;
  EXPECT_NE(card.find("float32"), std::string::npos);
  EXPECT_NE(card.find("license: apache-2.0"), std::string::npos);
  EXPECT_NE(card.find(tuning.report().training.files.at(0).text()), std::string::npos);
  const auto manifest = manifest_json(tuning.report(), tuning.request(), facts);
  EXPECT_EQ(manifest["format"], "malina-model-1");
  EXPECT_EQ(manifest["encoding"], "f32");
  EXPECT_EQ(manifest["recipe"]["full"], true);
  EXPECT_FALSE(manifest["recipe"].contains("rank"));
}

}  // namespace
}  // namespace malina::tune
