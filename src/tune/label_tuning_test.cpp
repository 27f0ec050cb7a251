// Label scoring as a rung: what is learned is what is asked, and what training says is what the
// classifier says that is read again.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <future>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "decide/text_check.h"
#include "eval/stratified.h"
#include "model/peft.h"
#include "tune/classifier.h"
#include "tune/label_answers.h"
#include "tune/label_task.h"
#include "tune/tuning.h"

namespace malina::tune {
namespace {

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";
const std::vector<std::string> kFruits{"apple", "apple pie", "banana split"};

class LabelTuningTest : public ::testing::Test {
 protected:
  LabelTuningTest() {
    const auto checkpoint = format::Checkpoint::open(kModel);
    tokenizer_ = text::Tokenizer::create(checkpoint->metadata());
    model_ = model::Model::load(checkpoint, device_, pool_);
    write("train.csv", 60, 1);
    write("test.csv", 24, 2);
  }

  void write(const std::string& name, int rows, std::uint64_t seed) {
    base::Random random(seed);
    std::ofstream file(directory_.path() / name);
    file << "text,label\n";
    for (int i = 0; i < rows; ++i) {
      const std::string& fruit = kFruits[static_cast<std::size_t>(i % 3)];
      file << "order " << random.below(1000) << " of " << fruit << "," << fruit << "\n";
    }
  }

  TuningRequest request(Method method = Method::labels) {
    TuningRequest request;
    request.training = {directory_.path() / "train.csv"};
    request.test = {directory_.path() / "test.csv"};
    request.method = method;
    request.recipe.adapter.rank = 4;
    request.recipe.epochs = 2;
    request.recipe.batch = 8;
    request.recipe.learning_rate = 5e-3F;
    request.form.max_tokens = 64;
    request.base_digest = "sha256:" + std::string(64, '0');
    request.chat_template = &template_;
    return request;
  }

  Tuning tuned(const TuningRequest& request, math::CpuDevice& device) {
    Tuning tuning(model_, tokenizer_.get(), device, request);
    tuning.read();
    EXPECT_TRUE(tuning.run({}));
    return tuning;
  }

  std::filesystem::path write(const Tuning& tuning, const std::string& name) {
    const ManifestFacts facts{.name = "test",
                              .base_name = "tiny",
                              .base_digest = tuning.request().base_digest,
                              .base_licence = "",
                              .created = "",
                              .version = ""};
    model::write_peft(directory_.path() / name, *tuning.result().label_adapter, *model_,
                      {.base_name = "tiny",
                       .model_card = model_card(tuning.report(), tuning.request(), facts),
                       .extra = {{std::string(kManifestName),
                                  manifest_json(tuning.report(), tuning.request(), facts).dump()},
                                 {std::string(kLinearName), tuning.result().linear->bytes()}}});
    return directory_.path() / name;
  }

  Classifier classifier(const std::filesystem::path& directory) {
    return {directory, model_, tokenizer_, device_, &template_};
  }
  decide::PromptSource source() const { return {tokenizer_, &template_}; }
  LabelTask task(std::size_t max_tokens = 64) const {
    return {source(), kFruits, std::string(kLabelInstructions), max_tokens,
            model_->sizes().context};
  }

  base::TemporaryDirectory directory_;
  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const model::Model> model_;
  text::ChatTemplate template_{
      "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
      "{% if add_generation_prompt %}[assistant] {% endif %}"};

  // Validation rows that mean the opposite: who has learned the words is always wrong, an adapter
  // that has learned nothing is right by chance.
  TuningRequest climbing() {
    std::ofstream file(directory_.path() / "opposite.csv");
    file << "text,label\n";
    for (std::size_t i = 0; i < 40; ++i)
      file << "order " << i << " of " << kFruits[1 + i % 2] << "," << kFruits[2 - i % 2] << "\n";
    file.close();
    TuningRequest asked = request(Method::automatic);
    asked.validation = {directory_.path() / "opposite.csv"};
    asked.test.clear();
    asked.recipe.learning_rate = 1e-7F;
    return asked;
  }
};

TEST_F(LabelTuningTest, WhatIsLearnedIsWhatADecisionAsks) {
  decide::Question question;
  question.type = decide::QuestionType::choice;
  question.instructions = std::string(kLabelInstructions);
  for (const std::string& label : kFruits) question.options.push_back({.label = label});
  const auto labels = decide::label_tokens(source(), kFruits);
  ASSERT_EQ(labels.labels[0].back(), tokenizer_->eos());  // "apple pie" goes on
  const LabelTask task = this->task();
  for (std::size_t label = 0; label < kFruits.size(); ++label) {
    const std::string text = "one " + kFruits[label] + ", please";
    std::vector<std::int32_t> expected =
        decide::prompt_tokens(source(), decide::message_of(question, text));
    expected.resize(expected.size() - labels.replaced);
    const std::size_t prompt = expected.size();
    expected.insert(expected.end(), labels.labels[label].begin(), labels.labels[label].end());

    const TrainingExample example = task.example(task.read(text), label);
    ASSERT_EQ(example.tokens.size() + 1, expected.size());
    EXPECT_TRUE(std::equal(example.tokens.begin(), example.tokens.end(), expected.begin()));
    for (std::size_t i = 0; i < example.tokens.size(); ++i)
      EXPECT_EQ(example.targets[i], i + 1 < prompt ? -1 : expected[i + 1]) << i;
  }
}

TEST_F(LabelTuningTest, ALongTextIsCutBetweenCharactersToWhatFits) {
  const LabelTask task = this->task(20);
  std::string text;
  for (int i = 0; i < 200; ++i) text += "řž";
  for (std::size_t cut = 0; cut < 4; ++cut) {
    const LabelTask::Reading reading = task.read(std::string(cut, 'x') + text);
    EXPECT_TRUE(reading.truncated);
    EXPECT_FALSE(reading.text.empty());
    EXPECT_EQ(decide::refusal_of_text(reading.text), "");
    EXPECT_LE(reading.prompt.size() + task.scorer().longest_label(), task.context());
    EXPECT_EQ(reading.prompt, task.scorer().prompts_of(reading.text).front());
  }
  EXPECT_FALSE(task.read("short").truncated);
}

TEST_F(LabelTuningTest, LabelsThatCannotBeAskedForAreRefused) {
  const auto fault = [&](const std::vector<std::string>& labels, std::size_t context) {
    try {
      LabelTask(source(), labels, "Which?", 64, context);
    } catch (const base::Error& error) {
      return error.fault();
    }
    return base::Fault::internal;
  };
  EXPECT_EQ(fault({"a", std::string(1000, 'b')}, 2000), base::Fault::invalid_argument);
  EXPECT_EQ(fault({"a", "b"}, 60), base::Fault::unsupported);
}

// The training pass and the engine are different code: both must mean the same probability.
TEST_F(LabelTuningTest, TheEngineScoresWhatTrainingMeasures) {
  const Tuning tuning = tuned(request(), device_);
  const auto& history = tuning.report().label_history;
  const auto best = std::find_if(history.rbegin(), history.rend(),
                                 [](const EpochReport& epoch) { return epoch.best; });
  ASSERT_NE(best, history.rend());

  // The validation rows, as the job held them back.
  const LabelledTexts all = read_labelled_texts(tuning.request().training);
  const auto parts =
      eval::stratified_split(eval::index_classes(all.labels).of, std::vector<double>{0.8, 0.2}, 1);
  const LabelledTexts rows = all.subset(parts[1]);
  ASSERT_EQ(rows.size(), tuning.report().validation_rows);
  LabelAnswers answers(model_, std::make_shared<LabelTask>(task()), *tuning.result().label_adapter,
                       device_);
  const auto scores = answers.scores(rows.texts);
  ASSERT_TRUE(scores.has_value());
  const auto classes = classes_of(rows.labels, kFruits);
  double loss = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    loss -= (*scores)[i][classes[i]] / static_cast<double>(rows.size());
  EXPECT_NEAR(loss, best->loss, 2e-3 * std::max(1.0, loss));  // keys and values in half precision
  EXPECT_EQ(
      probabilities_of(*scores, tuning.report().labels.size(), tuning.report().label_prior).values,
      tuning.report().chosen_rung().probabilities.values);
}

TEST_F(LabelTuningTest, TheClassifierThatIsReadAgainSaysTheSame) {
  Tuning tuning = tuned(request(), device_);
  EXPECT_EQ(name(tuning.report().chosen_rung().members), "labels");
  EXPECT_EQ(name(tuning.report().rungs.front().members), "linear");
  Classifier classifier = this->classifier(write(tuning, "labels"));
  const LabelledTexts test = read_labelled_texts(tuning.request().test);
  const auto answers = classifier.answer(test.texts);
  std::size_t right = 0;
  for (std::size_t i = 0; i < answers.size(); ++i)
    right += classifier.manifest().labels[answers[i].answer] == test.labels[i] ? 1 : 0;
  EXPECT_EQ(static_cast<double>(right) / static_cast<double>(answers.size()),
            tuning.report().test->chosen.accuracy.value);

  const Certificate certificate = tuning.certificate();
  ASSERT_EQ(certificate.examples.size(), tuning.report().validation_rows);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < certificate.examples.size(); ++i) places.push_back(i);
  EXPECT_EQ(difference(certificate, places, classifier), "");
  Certificate other = certificate;
  other.examples[1].tokens = other.examples[0].tokens;
  EXPECT_NE(difference(other, places, classifier), "");

  // Alone or with others, in another order: the same.
  const auto alone = classifier.answer(std::span(test.texts).subspan(3, 1));
  EXPECT_EQ(alone[0].probabilities, answers[3].probabilities);
}

// As in a server: whoever computes beside it has the processor between its steps.
TEST_F(LabelTuningTest, TheClassifierTakesATurnForEachStep) {
  Tuning tuning = tuned(request(), device_);
  const auto directory = write(tuning, "labels");
  engine::StepArbiter turns;
  Classifier classifier(directory, model_, tokenizer_, device_, &template_, &turns);
  EXPECT_TRUE(classifier.takes_turns());
  EXPECT_FALSE(this->classifier(directory).takes_turns());
  const std::vector<std::string> texts{"one apple, please", "a banana split", "an apple pie"};
  const auto expected = this->classifier(directory).answer(texts);

  turns.lock();
  auto answers = std::async(std::launch::async, [&] { return classifier.answer(texts); });
  // Not before it has a turn.
  EXPECT_EQ(answers.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  turns.unlock();
  const auto found = answers.get();
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(found[i].probabilities, expected[i].probabilities);
}

TEST_F(LabelTuningTest, TheSameBytesForAnyThreadsAndAfterAStop) {
  TuningRequest asked = request();
  asked.test.clear();
  const Tuning whole = tuned(asked, device_);
  base::ThreadPool one_thread(1);
  math::CpuDevice alone(one_thread);
  const Tuning other = tuned(asked, alone);
  EXPECT_EQ(other.result().label_adapter, whole.result().label_adapter);
  EXPECT_EQ(other.report().chosen_rung().probabilities.values,
            whole.report().chosen_rung().probabilities.values);

  asked.snapshot = directory_.path() / "job.snapshot";
  Tuning first(model_, tokenizer_.get(), device_, asked);
  first.read();
  std::size_t steps = 0;
  TuningEvents events;
  events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
  events.training.pause = [&] { return steps >= 5; };
  EXPECT_FALSE(first.run(events));
  EXPECT_EQ(steps, 5U);
  // Then where labels are scored.
  Tuning second(model_, tokenizer_.get(), device_, asked);
  second.read();
  bool scoring = false;
  steps = 0;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) {
    scoring = scoring || stage == "scoring labels";
  };
  events.training.pause = [&] { return scoring; };
  EXPECT_FALSE(second.run(events));
  EXPECT_EQ(steps, 7U);  // of 12
  Tuning third(model_, tokenizer_.get(), device_, asked);
  third.read();
  steps = 0;
  events.training.pause = {};
  EXPECT_TRUE(third.run(events));
  EXPECT_EQ(steps, 0U);
  EXPECT_EQ(third.result().label_adapter, whole.result().label_adapter);
  EXPECT_EQ(third.report().chosen_rung().probabilities.values,
            whole.report().chosen_rung().probabilities.values);
  const auto& left = third.leftovers();
  EXPECT_EQ(std::ranges::count_if(left, [](const auto& file) { return exists(file); }), 1);
}

TEST_F(LabelTuningTest, APauseTakesEffectWhileRowsAreScored) {
  TuningRequest asked = request();
  asked.snapshot = directory_.path() / "job.snapshot";
  const Tuning whole = tuned(request(), device_);
  // Before the rows of the first epoch are measured.
  Tuning first(model_, tokenizer_.get(), device_, asked);
  first.read();
  std::size_t steps = 0;
  TuningEvents events;
  events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
  events.training.pause = [&] { return steps == 6; };
  EXPECT_FALSE(first.run(events));
  EXPECT_EQ(steps, 6U);
  EXPECT_TRUE(first.report().label_history.empty());

  Tuning second(model_, tokenizer_.get(), device_, asked);
  second.read();
  std::map<std::string, std::vector<std::size_t>> told;
  bool pausing = true;
  events.stage = [&](std::string_view stage, std::size_t done, std::size_t total) {
    if (total <= 1) return;
    told[std::string(stage)].push_back(done);
    EXPECT_EQ(total, stage == "test rows" ? 24U : 12U) << stage;
  };
  events.training.pause = [&] { return pausing && told["test rows"].size() == 2; };
  EXPECT_FALSE(second.run(events));
  EXPECT_EQ(steps, 12U);
  EXPECT_EQ(told["scoring labels"], (std::vector<std::size_t>{0, 8}));
  EXPECT_EQ(told["test rows"], (std::vector<std::size_t>{0, 8}));
  EXPECT_FALSE(second.report().test.has_value());
  pausing = false;
  EXPECT_TRUE(second.run(events));
  EXPECT_EQ(told["scoring labels"].size(), 2U);  // not once more
  EXPECT_EQ(second.result().label_adapter, whole.result().label_adapter);
  EXPECT_EQ(report_json(second.report())["test"], report_json(whole.report())["test"]);
  EXPECT_EQ(second.report().truncated, whole.report().truncated);
}

TEST_F(LabelTuningTest, AutoSaysWhyItLeavesLabelsOut) {
  // The words decide: the adapter cannot be better than the baseline, which is always right.
  const Tuning tuning = tuned(request(Method::automatic), device_);
  for (const Rung& rung : tuning.report().rungs)
    EXPECT_EQ(std::count(rung.members.begin(), rung.members.end(), Method::labels), 0);
  EXPECT_NE(tuning.report().labels_left_out.find("not significantly better than"),
            std::string::npos);
  EXPECT_EQ(report_json(tuning.report())["labels_left_out"], tuning.report().labels_left_out);
}

TEST_F(LabelTuningTest, AutoClimbsWhereTheAdapterBeatsWhatIsCheaper) {
  const TuningRequest asked = climbing();
  Tuning tuning(model_, tokenizer_.get(), device_, asked);
  tuning.read();
  std::size_t labels_steps = 0;
  bool writes = false, paused = false;
  TuningEvents events;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) {
    writes = writes || stage == "an adapter that writes labels";
  };
  events.training.step = [&](const StepReport&, std::uint64_t) { labels_steps += writes ? 1 : 0; };
  events.training.pause = [&] { return labels_steps == 3 && !std::exchange(paused, true); };
  EXPECT_FALSE(tuning.run(events));
  ASSERT_TRUE(tuning.run(events));
  EXPECT_EQ(labels_steps, 16U);
  const TuningReport& report = tuning.report();
  ASSERT_EQ(report.rungs.size(), 6U) << report.labels_left_out;
  EXPECT_EQ(name(report.rungs.back().members), "labels");
  EXPECT_EQ(report.labels_left_out, "");
  EXPECT_EQ(report.label_history.size(), 2U);
  EXPECT_EQ(report.rungs.back().probabilities.rows(), 40U);
}

TEST_F(LabelTuningTest, LabelsThatDoNotFitIntoMemoryAreLeftOut) {
  Tuning tuning(model_, tokenizer_.get(), device_, climbing());
  tuning.read();
  const std::uint64_t all = tuning.settle_memory(1ULL << 40);
  const std::uint64_t without = tuning.settle_memory(all - 1);
  EXPECT_LT(without, all);
  EXPECT_EQ(tuning.settle_memory(without), without);
  ASSERT_TRUE(tuning.run({}));
  EXPECT_EQ(tuning.report().rungs.size(), 5U);
  EXPECT_NE(tuning.report().labels_left_out.find("MiB of memory"), std::string::npos);
  try {
    tuning.settle_memory(without - 1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("beside model and data"), std::string::npos)
        << error.what();
  }
}

TEST_F(LabelTuningTest, ASearchIsOfTheAdapterWithAHead) {
  TuningRequest asked = climbing();
  asked.search = {2e-7F};
  const Tuning tuning = tuned(asked, device_);
  ASSERT_EQ(name(tuning.report().rungs.back().members), "labels")
      << tuning.report().labels_left_out;
  EXPECT_EQ(tuning.request().recipe.learning_rate, 2e-7F);
  EXPECT_EQ(tuning.report().label_recipe.value().learning_rate, 1e-7F);
}

TEST_F(LabelTuningTest, APlanCountsTheRungThatMayBeClimbedTo) {
  const auto planned = [&](TuningRequest request) {
    Tuning tuning(model_, tokenizer_.get(), device_, std::move(request));
    tuning.read();
    return tuning.plan({});
  };
  const auto seconds = [](const TuningPlan& plan) {
    double sum = 0;
    for (const auto& stage : plan.stages) sum += stage.seconds;
    return sum;
  };
  const TuningPlan plan = planned(request(Method::automatic));
  ASSERT_TRUE(plan.fits());
  ASSERT_TRUE(plan.labels.has_value()) << plan.labels_left_out;
  EXPECT_GT(plan.labels->seconds, 0);
  EXPECT_LE(plan.labels->peak_bytes, plan.peak_bytes);
  EXPECT_EQ(plan.stages.back().seconds, plan.labels->seconds);
  EXPECT_EQ(plan.seconds, seconds(plan));
  EXPECT_EQ(plan.epochs, 2U);  // of the adapter with a head
  EXPECT_FALSE(planned(request(Method::labels)).labels.has_value());
  // Labels that are too long for a choice cannot be asked for.
  TuningRequest unfit = request(Method::automatic);
  std::ofstream file(directory_.path() / "long.csv");
  file << "text,label\n";
  for (int i = 0; i < 60; ++i)
    file << "order " << i << "," << std::string(600, "ab"[i % 2]) << "\n";
  file.close();
  unfit.training = {directory_.path() / "long.csv"};
  unfit.test.clear();
  const TuningPlan without = planned(unfit);
  EXPECT_FALSE(without.labels.has_value());
  EXPECT_NE(without.labels_left_out, "");
}

TEST_F(LabelTuningTest, WhatWasDoneBeforeAStopIsCountedOnce) {
  struct Count {
    std::uint64_t steps = 0, positions = 0;
    TrainingEvents events() {
      TrainingEvents events;
      events.begun = [this](std::uint64_t done, std::uint64_t computed) {
        steps += done, positions += computed;
      };
      events.step = [this](const StepReport& step, std::uint64_t) {
        ++steps, positions += step.positions;
      };
      return events;
    }
  };
  TuningRequest asked = climbing();
  asked.search = {1e-7F, 2e-7F};
  Count whole;
  {
    Tuning tuning(model_, tokenizer_.get(), device_, asked);
    tuning.read();
    ASSERT_TRUE(tuning.run({.stage = {}, .rung = {}, .training = whole.events()}));
    ASSERT_EQ(name(tuning.report().rungs.back().members), "labels");
  }
  asked.snapshot = directory_.path() / "job.snapshot";
  for (const std::uint64_t stop : {std::uint64_t{3}, whole.steps - 10, whole.steps - 2, ~0UL}) {
    Tuning tuning(model_, tokenizer_.get(), device_, asked);
    tuning.read();
    Count count;
    TuningEvents events{.stage = {}, .rung = {}, .training = count.events()};
    events.training.pause = [&] { return count.steps >= stop; };
    EXPECT_EQ(tuning.run(events), stop > whole.steps);
    EXPECT_EQ(count.steps, std::min(stop, whole.steps));
    if (stop < whole.steps) continue;
    EXPECT_EQ(count.positions, whole.positions);
  }
}

TEST_F(LabelTuningTest, LabelsThatDivergeAreLeftOut) {
  Tuning tuning(model_, tokenizer_.get(), device_, climbing());
  tuning.read();
  bool writes = false;
  TuningEvents events;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) {
    writes = writes || stage == "an adapter that writes labels";
  };
  events.training.step = [&](const StepReport& step, std::uint64_t) {
    if (writes && step.step == 2) throw DivergedError(step.step);
  };
  ASSERT_TRUE(tuning.run(events));
  EXPECT_EQ(tuning.report().rungs.size(), 5U);
  EXPECT_NE(tuning.report().labels_left_out.find("no longer a number"), std::string::npos);
}

TEST_F(LabelTuningTest, APriorIsTakenOff) {
  const LabelAnswers::Scores scores{{std::log(0.2), std::log(0.1)}, {std::log(0.3), std::log(0.1)}};
  const std::vector<double> prior{std::log(0.4), std::log(0.1)};
  const auto plain = probabilities_of(scores, 2, {}),
             corrected = probabilities_of(scores, 2, prior);
  EXPECT_NEAR(plain.row(0)[0], 2.0 / 3, 1e-12);
  EXPECT_NEAR(corrected.row(0)[0], 1.0 / 3, 1e-12);
  EXPECT_NEAR(corrected.row(1)[0], 3.0 / 7, 1e-12);
  const auto nothing = probabilities_of({{}}, 2, prior);
  EXPECT_EQ(nothing.values, (std::vector<double>{0.5, 0.5})) << "nothing was read";
}

TEST(LabelManifest, RefusesWhatIsNotOne) {
  const std::string good =
      R"({"format":"malina classifier 1","members":[{"method":"labels","weight":1}],)"
      R"("labels":["a","b"],"text":{"max_tokens":9},)"
      R"("question":{"instructions":"Which?","prior":[-1.5,-2]},)"
      R"("base":{"name":"m","digest":"sha256:0"},"calibration":{"temperature":1,)"
      R"("conformal_quantile":0.5,"conformal_coverage":0.9,"abstention":null}})";
  const ClassifierManifest manifest = parse_manifest(good, "m");
  EXPECT_EQ(manifest.instructions, "Which?");
  EXPECT_EQ(manifest.prior, (std::vector<double>{-1.5, -2}));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_TRUE(parse_manifest(with("[-1.5,-2]", "null"), "m").prior.empty());
  for (const std::string& bad :
       {with("\"question\"", "\"questions\""), with("[-1.5,-2]", "[-1.5]"),
        with("[-1.5,-2]", "[-1.5,\"x\"]"), with("[-1.5,-2]", "7"), with("\"Which?\"", "7"),
        with("\"prior\"", "\"prio\""),
        with(R"([{"method":"labels")", R"([{"method":"lora","weight":1},{"method":"labels")")})
    EXPECT_THROW(parse_manifest(bad, "m"), base::Error) << bad;
}

}  // namespace
}  // namespace malina::tune
