// Training on a tiny model: that it learns, that it is the same bits for any number of threads and
// after any stop, and that batches of any cut give the same gradients.
#include "tune/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "tune/classifier_training.h"

namespace malina::tune {
namespace {

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";
constexpr std::size_t kClasses = 3;

// Texts of which the class is a token that stands somewhere in them.
std::vector<TrainingExample> examples(std::size_t count, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<TrainingExample> all;
  for (std::size_t i = 0; i < count; ++i) {
    TrainingExample example;
    const std::size_t length = 4 + random.below(12);
    for (std::size_t k = 0; k < length; ++k)
      example.tokens.push_back(static_cast<std::int32_t>(100 + random.below(100)));
    const auto target = static_cast<std::int32_t>(i % kClasses);
    example.tokens[random.below(length - 1)] = 10 + target;
    example.targets.assign(length, -1);
    example.targets.back() = target;
    all.push_back(std::move(example));
  }
  return all;
}

class TrainerTest : public ::testing::Test {
 protected:
  static Recipe recipe() {
    Recipe recipe;
    recipe.adapter.rank = 4;
    recipe.adapter.alpha = 8;
    recipe.learning_rate = 1e-2F;
    recipe.epochs = 3;
    recipe.batch = 8;
    recipe.rows = 64;
    return recipe;
  }

  struct Machine {
    explicit Machine(unsigned threads) : pool(threads), device(pool) {
      model = model::Model::load(format::Checkpoint::open(kModel), device, pool);
    }
    base::ThreadPool pool;
    math::CpuDevice device;
    std::shared_ptr<const model::Model> model;
  };

  static std::vector<std::vector<float>> parameters(Trainer& trainer) {
    std::vector<std::vector<float>> all;
    for (const auto& array : trainer.state().arrays) all.emplace_back(array.begin(), array.end());
    return all;
  }

  Machine machine_{2};
  std::vector<TrainingExample> training_ = examples(60, 1);
  std::vector<TrainingExample> validation_ = examples(30, 2);
};

TEST_F(TrainerTest, LearnsWhatDecidesTheClass) {
  Recipe longer = recipe();
  longer.epochs = 10;
  const auto many = examples(240, 3);
  Trainer trainer(machine_.model, machine_.device, longer, kClasses, many);
  EXPECT_EQ(trainer.steps(), 10U * 30);
  double first = 0, last = 0;
  while (trainer.step() < trainer.steps()) {
    const StepReport report = trainer.run_step();
    if (report.step <= 8) first += report.loss / 8;
    if (report.step > trainer.steps() - 8) last += report.loss / 8;
    EXPECT_GT(report.gradient_norm, 0);
  }
  EXPECT_NEAR(first, std::log(3), 0.5);
  EXPECT_LT(last, first / 3);
  std::size_t right = 0;
  trainer.score(validation_, [&](std::size_t example, const math::Slice& outputs) {
    const float* scores = math::host_floats(outputs);
    right +=
        std::max_element(scores, scores + kClasses) - scores == validation_[example].targets.back()
            ? 1
            : 0;
  });
  EXPECT_GE(right, 24U);
}

// A beginning that all examples share is computed once: the same loss, the same gradients.
TEST_F(TrainerTest, ASharedBeginningChangesNothing) {
  base::Random random(9);
  std::vector<std::int32_t> beginning;
  for (int i = 0; i < 20; ++i)
    beginning.push_back(static_cast<std::int32_t>(100 + random.below(100)));
  for (TrainingExample& example : training_) {
    example.tokens.insert(example.tokens.begin(), beginning.begin(), beginning.end());
    example.targets.insert(example.targets.begin(), beginning.size(), -1);
  }
  Recipe apart = recipe();
  apart.share_prefix = false;
  Trainer together(machine_.model, machine_.device, recipe(), kClasses, training_);
  Trainer alone(machine_.model, machine_.device, apart, kClasses, training_);
  EXPECT_EQ(together.shared_tokens(), 20U);
  EXPECT_EQ(alone.shared_tokens(), 0U);
  for (int i = 0; i < 3; ++i) {
    const StepReport shared = together.run_step(), whole = alone.run_step();
    EXPECT_NEAR(shared.loss, whole.loss, 1e-5);
    EXPECT_NEAR(shared.gradient_norm, whole.gradient_norm, 1e-4 * whole.gradient_norm);
    EXPECT_LT(shared.positions, whole.positions * 7 / 10);
  }
  // Others that begin otherwise are scored all the same.
  std::vector<float> scores;
  const auto collect = [&](std::size_t, const math::Slice& outputs) {
    scores.push_back(math::host_floats(outputs)[0]);
  };
  alone.score(training_, collect);
  const std::vector<float> expected = std::exchange(scores, {});
  together.set_step(alone.step());
  std::copy(alone.adapter().parameters().begin(), alone.adapter().parameters().end(),
            together.adapter().parameters().begin());
  std::copy(alone.head().parameters().begin(), alone.head().parameters().end(),
            together.head().parameters().begin());
  together.score(training_, collect);
  ASSERT_EQ(scores.size(), expected.size());
  for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-4);
  together.score(validation_, collect);
  EXPECT_EQ(scores.size(), expected.size() + validation_.size());
}

TEST_F(TrainerTest, LearnsTheNextToken) {
  for (TrainingExample& example : training_) {
    example.targets.assign(example.tokens.begin() + 1, example.tokens.end());
    example.targets.push_back(-1);
    example.weights.assign(example.tokens.size(), 1.0F);
  }
  Trainer trainer(machine_.model, machine_.device, recipe(), 0, training_);
  EXPECT_FALSE(trainer.head().trained());
  const double first = trainer.run_step().loss;
  double last = first;
  while (trainer.step() < trainer.steps()) last = trainer.run_step().loss;
  EXPECT_LT(last, first - 0.5);
}

TEST_F(TrainerTest, LearnsFromTheMeanOfAllTokens) {
  Recipe pooled = recipe();
  pooled.pooling = Pooling::mean;
  pooled.epochs = 10;
  const auto many = examples(240, 3);
  Trainer trainer(machine_.model, machine_.device, pooled, kClasses, many);
  while (trainer.step() < trainer.steps()) trainer.run_step();
  std::size_t right = 0, scored = 0;
  trainer.score(validation_, [&](std::size_t example, const math::Slice& outputs) {
    ASSERT_EQ(outputs.rows, 1U);
    const float* scores = math::host_floats(outputs);
    ++scored;
    right +=
        std::max_element(scores, scores + kClasses) - scores == validation_[example].targets.back()
            ? 1
            : 0;
  });
  EXPECT_EQ(scored, validation_.size());
  EXPECT_GE(right, 26U);
  training_[0].targets.front() = 1;
  EXPECT_THROW(Trainer(machine_.model, machine_.device, pooled, kClasses, training_), base::Error);
}

TEST_F(TrainerTest, IsTheSameBitsForAnyNumberOfThreads) {
  Trainer trainer(machine_.model, machine_.device, recipe(), kClasses, training_);
  Machine other(1);
  Trainer alone(other.model, other.device, recipe(), kClasses, training_);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(trainer.run_step().loss, alone.run_step().loss);
  EXPECT_EQ(parameters(trainer), parameters(alone));
}

TEST_F(TrainerTest, MicroBatchesOfAnySizeAreTheSameStep) {
  Recipe small = recipe();
  small.rows = 16;  // a text or two
  Recipe large = recipe();
  large.rows = 512;  // the whole step
  Trainer cut(machine_.model, machine_.device, small, kClasses, training_);
  Trainer whole(machine_.model, machine_.device, large, kClasses, training_);
  for (int i = 0; i < 2; ++i) {
    EXPECT_NEAR(cut.run_step().loss, whole.run_step().loss, 1e-5);
    const auto a = cut.adapter().gradients();
    const auto b = whole.adapter().gradients();
    float largest = 0;
    for (const float value : b) largest = std::max(largest, std::abs(value));
    for (std::size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], b[k], 1e-5F * largest + 1e-9F);
  }
}

TEST_F(TrainerTest, RefusesWhatHasNothingToLearn) {
  const auto refused = [&](std::vector<TrainingExample> data) {
    EXPECT_THROW(Trainer(machine_.model, machine_.device, recipe(), kClasses, data), base::Error);
  };
  refused({});
  auto data = examples(3, 1);
  data[1].targets.back() = -1;
  refused(data);
  data = examples(3, 1);
  data[2].targets.back() = kClasses;
  refused(data);
  data = examples(3, 1);
  data[0].tokens.assign(100, 1);  // more than is computed at once
  data[0].targets.assign(100, 0);
  refused(data);
}

// --- the job ---

class ClassifierTrainingTest : public TrainerTest {
 protected:
  AdapterTrainingOptions options(bool snapshot = true) {
    AdapterTrainingOptions options;
    options.recipe = recipe();
    options.origin = "base and data";
    if (snapshot) options.snapshot = directory_.path() / "snapshot";
    return options;
  }
  ClassifierTraining training(const AdapterTrainingOptions& options) {
    return ClassifierTraining(machine_.model, machine_.device, kClasses, training_, validation_,
                              options);
  }

  base::TemporaryDirectory directory_;
};

TEST_F(ClassifierTrainingTest, GoesOnAfterAStopAtAnyStepWithTheSameBits) {
  ClassifierTraining straight = training(options(false));
  ASSERT_TRUE(straight.run({}));
  const auto expected = straight.best();
  const auto table = straight.probabilities(validation_);

  for (const int every : {1, 3, 7}) {
    bool finished = false;
    std::size_t runs = 0;
    std::vector<EpochReport> history;
    while (!finished) {
      ClassifierTraining part = training(options());  // as a new process would
      int steps = 0;
      TrainingEvents events;
      events.step = [&](const StepReport&, std::uint64_t) { ++steps; };
      events.pause = [&] { return steps >= every; };
      finished = part.run(events);
      ASSERT_LT(++runs, 100U);
      if (!finished) continue;
      history = part.history();
      EXPECT_EQ(part.best(), expected);
      EXPECT_EQ(part.probabilities(validation_)->values, table->values);
    }
    EXPECT_GT(runs, 3U);
    EXPECT_EQ(history.size(), straight.history().size());
    std::filesystem::remove(directory_.path() / "snapshot");
  }
}

TEST_F(ClassifierTrainingTest, GoesOnAfterAStopWhileItMeasures) {
  ClassifierTraining straight = training(options(false));
  ASSERT_TRUE(straight.run({}));
  std::size_t steps = 0, runs = 0;
  for (bool finished = false; !finished; ++runs) {
    ClassifierTraining part = training(options());
    // Where rows were left unmeasured they come first; the run stops among those of the next epoch.
    std::size_t measured = 0, epochs = 0;
    TrainingEvents events;
    events.step = [&](const StepReport&, std::uint64_t) { ++steps; };
    events.epoch = [&](const EpochReport& report) {
      ++epochs, measured = 0;
      EXPECT_EQ(report.step, steps);  // of those of an earlier run too
      EXPECT_GE(report.steps, straight.losses().size());
    };
    events.measured = [&](std::size_t done, std::size_t total) {
      EXPECT_EQ(total, validation_.size());
      measured = done;
    };
    events.pause = [&] { return measured > 0 && (runs == 0 || epochs > 0); };
    finished = part.run(events);
    ASSERT_LT(runs, 100U);
    if (!finished) continue;
    EXPECT_EQ(part.best(), straight.best());
    EXPECT_EQ(part.history().size(), straight.history().size());
  }
  EXPECT_GT(runs, 1U);
  EXPECT_EQ(steps, straight.losses().size());
}

TEST_F(ClassifierTrainingTest, RestingChangesNothing) {
  ClassifierTraining job = training(options(false));
  ASSERT_TRUE(job.run({}));
  const auto before = job.probabilities(validation_);
  job.rest();
  EXPECT_EQ(job.probabilities(validation_)->values, before->values);
}

TEST_F(ClassifierTrainingTest, RefusesTheSnapshotOfAnotherJob) {
  ClassifierTraining first = training(options());
  ASSERT_FALSE(first.run({.step = {}, .epoch = {}, .pause = [] { return true; }}));
  auto other = options();
  other.origin = "other data";
  EXPECT_THROW(training(other), base::Error);
  other = options();
  other.recipe.learning_rate *= 2;
  EXPECT_THROW(training(other), base::Error);
}

TEST_F(ClassifierTrainingTest, StopsWhenNothingGetsBetter) {
  auto patient = options(false);
  patient.recipe.epochs = 50;
  patient.recipe.learning_rate = 1e-9F;  // nothing is learned
  patient.patience = 2;
  ClassifierTraining job = training(patient);
  ASSERT_TRUE(job.run({}));
  EXPECT_LT(job.history().size(), 50U);
}

}  // namespace
}  // namespace malina::tune
