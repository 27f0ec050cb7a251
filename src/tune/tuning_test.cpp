// The whole job on a tiny model: data, ladder, calibration, and the classifier that is read again.
#include "tune/tuning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "model/peft.h"
#include "tune/classifier.h"
#include "tune/tuning_part.h"

namespace malina::tune {
namespace {

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

class TuningTest : public ::testing::Test {
 protected:
  TuningTest() {
    const auto checkpoint = format::Checkpoint::open(kModel);
    tokenizer_ = text::Tokenizer::create(checkpoint->metadata());
    model_ = model::Model::load(checkpoint, device_, pool_);
    write("train.csv", 120, 1);
    write("test.csv", 60, 2);
  }

  void write(const std::string& name, int rows, std::uint64_t seed) {
    base::Random random(seed);
    std::ofstream file(directory_.path() / name);
    file << "text,label\n";
    const std::vector<std::string> fruits{"apple pie", "banana split", "cherry tart"};
    for (int i = 0; i < rows; ++i) {
      file << "order " << random.below(1000) << " of " << fruits[static_cast<std::size_t>(i % 3)]
           << " to table " << random.below(50) << ",fruit" << i % 3 << "\n";
    }
  }

  TuningRequest request(Method method) {
    TuningRequest request;
    request.training = {directory_.path() / "train.csv"};
    request.test = {directory_.path() / "test.csv"};
    request.method = method;
    request.recipe.adapter.rank = 4;
    request.recipe.epochs = 3;
    request.recipe.batch = 8;
    request.recipe.learning_rate = 5e-3F;
    request.form.max_tokens = 128;
    request.base_digest = "sha256:" + std::string(64, '0');
    return request;
  }

  Tuning tuned(const TuningRequest& request) {
    Tuning tuning(model_, tokenizer_.get(), device_, request);
    tuning.read();
    EXPECT_TRUE(tuning.run({}));
    return tuning;
  }

  // Written as the platform does, and read again.
  std::filesystem::path write(const Tuning& tuning, const TuningRequest& request) {
    const auto directory = directory_.path() / name(tuning.report().chosen_rung().members);
    const ManifestFacts facts{.name = "test",
                              .base_name = "tiny",
                              .base_digest = request.base_digest,
                              .base_licence = "",
                              .created = "",
                              .version = ""};
    const std::string manifest = manifest_json(tuning.report(), request, facts).dump();
    std::vector<model::PeftFiles::Extra> extra{
        {std::string(kManifestName), manifest},
        {std::string(kLinearName), tuning.result().linear->bytes()}};
    if (tuning.result().probe)
      extra.push_back({std::string(kProbeName), tuning.result().probe->bytes()});
    if (tuning.report().uses(Method::lora)) {
      model::write_peft(directory, *tuning.result().adapter, *model_,
                        {.base_name = "tiny",
                         .model_card = model_card(tuning.report(), request, facts),
                         .extra = extra});
      return directory;
    }
    std::filesystem::create_directories(directory);
    base::AtomicFile file(directory / kManifestName);
    file.write(manifest);
    file.commit();
    tuning.result().linear->save(directory / kLinearName);
    if (tuning.result().probe) tuning.result().probe->save(directory / kProbeName);
    return directory;
  }

  // Of the test rows.
  static double accuracy(Classifier& classifier, const TuningRequest& request) {
    const LabelledTexts test = read_labelled_texts(request.test);
    const auto answers = classifier.answer(test.texts);
    std::size_t right = 0;
    for (std::size_t i = 0; i < answers.size(); ++i)
      right += classifier.manifest().labels[answers[i].answer] == test.labels[i] ? 1 : 0;
    return static_cast<double>(right) / static_cast<double>(answers.size());
  }

  base::TemporaryDirectory directory_;
  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const model::Model> model_;
};

TEST_F(TuningTest, EveryMethodGivesAClassifierThatIsReadAgain) {
  for (const Method method : {Method::linear, Method::probe, Method::lora, Method::blend}) {
    const TuningRequest asked = request(method);
    const Tuning tuning = tuned(asked);
    const TuningReport& report = tuning.report();
    EXPECT_EQ(name(report.chosen_rung().members),
              method == Method::blend ? "linear+probe+lora" : name(method));
    EXPECT_EQ(report.labels, (std::vector<std::string>{"fruit0", "fruit1", "fruit2"}));
    EXPECT_EQ(report.training_rows + report.validation_rows, 120U);
    EXPECT_TRUE(report.validation_from_training);
    EXPECT_EQ(name(report.rungs.front().members), "linear");  // always trained
    EXPECT_EQ(report.rungs.front().validation.accuracy.value, 1.0);
    ASSERT_TRUE(report.test.has_value());

    Classifier classifier(write(tuning, asked), model_, tokenizer_, device_);
    const std::vector<std::string> texts{"order 5 of banana split to table 3",
                                         "order 7 of cherry tart to table 1"};
    const auto answers = classifier.answer(texts);
    ASSERT_EQ(answers.size(), 2U);
    for (const ClassifierAnswer& answer : answers) {
      double sum = 0;
      for (const double p : answer.probabilities) sum += p;
      EXPECT_NEAR(sum, 1, 1e-9);
    }
    if (method != Method::linear) continue;
    EXPECT_EQ(classifier.manifest().labels[answers[0].answer], "fruit1");
    EXPECT_EQ(classifier.manifest().labels[answers[1].answer], "fruit2");
    EXPECT_FALSE(answers[0].abstain);
  }
}

TEST_F(TuningTest, ATextThatIsReadTwiceIsMeantTheSecondTime) {
  const TextForm once{.max_tokens = 40}, twice{.max_tokens = 40, .twice = true};
  const auto plain = once.tokens(*tokenizer_, "order of pie");
  const auto doubled = twice.tokens(*tokenizer_, "order of pie");
  EXPECT_EQ(plain.read_from, 0U);
  const std::size_t words = plain.ids.size() - 1;
  EXPECT_EQ(doubled.ids.size(), 2 * words + 2);
  EXPECT_EQ(tokenizer_->decode(doubled.ids), "order of pie\norder of pie");
  EXPECT_EQ(doubled.read_from, words + 1);
  // Where there is no room it stands there once.
  const std::string longer(30, 'x');
  EXPECT_EQ(twice.tokens(*tokenizer_, longer).ids, once.tokens(*tokenizer_, longer).ids);
}

// Few rows without a validation file: the cheap methods are measured on all of them, each row by a
// model that has not seen it, and learn from all of them.
TEST_F(TuningTest, FewRowsAreMeasuredInTurn) {
  const Tuning tuning = tuned(request(Method::automatic));
  const TuningReport& report = tuning.report();
  ASSERT_EQ(report.rungs.size(), 5U);
  for (const std::size_t cheap : {0, 1, 2}) {
    EXPECT_EQ(report.rungs[cheap].rows, 120U);
    EXPECT_EQ(report.rungs[cheap].all.rows(), 120U);
    EXPECT_EQ(report.rungs[cheap].probabilities.rows(), report.validation_rows);
  }
  for (const std::size_t dear : {3, 4}) EXPECT_EQ(report.rungs[dear].rows, report.validation_rows);
  EXPECT_EQ(report.retrained.has_value(), report.uses(Method::lora));

  TuningRequest apart = request(Method::linear);
  apart.validation = apart.test;
  EXPECT_EQ(tuned(apart).report().rungs[0].rows, 60U);
}

TEST_F(TuningTest, WhatWasHeldBackOfManyRowsIsLearnedInTheEnd) {
  write("train.csv", 2400, 3);
  const TuningRequest asked = request(Method::linear);
  const Tuning tuning = tuned(asked);
  EXPECT_EQ(tuning.report().rungs[0].rows, 240U);
  const LabelledTexts all = read_labelled_texts(asked.training);
  const auto whole = eval::LinearBaseline::fit(all.texts, all.labels,
                                               {.cost = tuning.result().linear->cost()}, pool_);
  // The order of rows does not matter to it but in the last digits.
  const std::string text = "order 5 of banana split to table 3";
  const auto expected = whole.probabilities(text),
             found = tuning.result().linear->probabilities(text);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-3);
}

TEST_F(TuningTest, OfFewRowsTheAdapterLearnsFromAllInTheEnd) {
  TuningRequest asked = request(Method::lora);
  const Tuning whole = tuned(asked);
  const auto& history = whole.report().history;
  const auto best = std::find_if(history.rbegin(), history.rend(),
                                 [](const EpochReport& epoch) { return epoch.best; });
  ASSERT_TRUE(whole.report().retrained);
  EXPECT_EQ(whole.report().retrained->rows, 120U);
  EXPECT_EQ(whole.report().retrained->epochs, best->epoch);
  EXPECT_EQ(whole.report().rungs.back().rows, 24U);  // measured before

  TuningRequest apart = asked;  // nothing was held back
  apart.validation = apart.test;
  EXPECT_FALSE(tuned(apart).report().retrained);

  // Stopped in the second training and taken up by another process.
  asked.snapshot = directory_.path() / "job.snapshot";
  Tuning first(model_, tokenizer_.get(), device_, asked);
  first.read();
  std::size_t steps = 0;
  const std::size_t before = history.size() * 12;
  TuningEvents events;
  events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
  events.training.pause = [&] { return steps >= before + 7; };
  EXPECT_FALSE(first.run(events));
  EXPECT_FALSE(first.report().retrained);
  EXPECT_NE(*first.result().adapter, *whole.result().adapter);  // the first training's
  Tuning second(model_, tokenizer_.get(), device_, asked);
  second.read();
  steps = 0;
  events.training.pause = {};
  EXPECT_TRUE(second.run(events));
  EXPECT_EQ(steps, 15 * best->epoch - 7);
  EXPECT_EQ(*second.result().adapter, *whole.result().adapter);
  EXPECT_EQ(second.report().test->chosen.accuracy.value,
            whole.report().test->chosen.accuracy.value);
  // The same object goes on as well.
  EXPECT_TRUE(first.run(events));
  EXPECT_EQ(*first.result().adapter, *whole.result().adapter);
}

// A pause ends each, and another job goes on.
TEST_F(TuningTest, AFitStopsWhereThatIsAskedFor) {
  std::string now;
  TuningEvents events;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) { now = stage; };
  for (const char* stage :
       {"linear baseline", "features", "linear probe", "suspected labels", "learning curve"}) {
    SCOPED_TRACE(stage);
    events.training.pause = [&] { return now == stage; };
    Tuning tuning(model_, tokenizer_.get(), device_, request(Method::probe));
    tuning.read();
    EXPECT_FALSE(tuning.run(events));
    EXPECT_EQ(now, stage);
    EXPECT_THROW(tuning.run({}), base::Error);
  }
}

TEST_F(TuningTest, AGuaranteeNeedsRowsThatProveIt) {
  TuningRequest asked = request(Method::linear);
  const auto plain = tuned(asked).report();
  ASSERT_TRUE(plain.calibration.abstention);
  EXPECT_GT(plain.calibration.abstention->rows, 0U);
  EXPECT_LT(plain.calibration.abstention->accuracy_low(), asked.calibration.target_accuracy);
  asked.calibration.guarantee = 0.95;
  EXPECT_FALSE(tuned(asked).report().calibration.abstention);
  asked.calibration.target_accuracy = 0.5;
  const auto proven = tuned(asked).report();
  ASSERT_TRUE(proven.calibration.abstention);
  EXPECT_GT(proven.calibration.abstention->accuracy_low(), 0.5);
}

TEST_F(TuningTest, ASecondTrainingThatGoesWrongLeavesTheFirst) {
  const TuningRequest asked = request(Method::blend);
  Tuning tuning(model_, tokenizer_.get(), device_, asked);
  tuning.read();
  bool second = false;
  TuningEvents events;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) {
    second = second || stage == "the adapter once more, on all rows";
  };
  events.training.step = [&](const StepReport& report, std::uint64_t) {
    if (second && report.step == 3) throw DivergedError(3);
  };
  EXPECT_TRUE(tuning.run(events));
  EXPECT_TRUE(second);
  EXPECT_FALSE(tuning.report().retrained);
  EXPECT_FALSE(tuning.report().retraining_left_out.empty());
  // What was written answers as what was measured.
  Classifier classifier(write(tuning, asked), model_, tokenizer_, device_);
  EXPECT_EQ(accuracy(classifier, asked), tuning.report().test->chosen.accuracy.value);
}

TEST_F(TuningTest, AStaleFileOfTheSecondTrainingIsNoObstacle) {
  TuningRequest asked = request(Method::lora);
  const Tuning whole = tuned(asked);
  asked.snapshot = directory_.path() / "job.snapshot";
  std::ofstream(directory_.path() / "job.snapshot.all-rows") << "of another job";
  EXPECT_EQ(*tuned(asked).result().adapter, *whole.result().adapter);
}

TEST_F(TuningTest, FewRowsAreReadTwiceUnlessOneSaysOtherwise) {
  TuningRequest asked = request(Method::probe);
  EXPECT_FALSE(tuned(asked).request().form.twice);
  asked.automatic_reading = true;
  EXPECT_TRUE(tuned(asked).request().form.twice);
  EXPECT_EQ(tuned(asked).request().recipe.pooling, Pooling::mean);
  EXPECT_FALSE(reads_twice(100000));
}

TEST_F(TuningTest, TheCheapestThatNoneBeatsIsChosen) {
  // The words decide: nothing can be better than the baseline, which is always right.
  const Tuning tuning = tuned(request(Method::automatic));
  EXPECT_EQ(tuning.report().rungs.size(), 5U);
  EXPECT_EQ(tuning.report().chosen, 0U);
  EXPECT_NE(tuning.report().reason.find("no dearer method"), std::string::npos);
}

// With the state of the last token, and with means over a text that is read twice.
class ReadingTest : public TuningTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Forms, ReadingTest, ::testing::Bool());

TEST_P(ReadingTest, WhatTheTrainerSaysTheClassifierSays) {
  TuningRequest asked = request(Method::lora);
  asked.form.twice = GetParam();
  asked.recipe.pooling = GetParam() ? Pooling::mean : Pooling::last;
  Tuning tuning = tuned(asked);
  Classifier classifier(write(tuning, asked), model_, tokenizer_, device_);
  EXPECT_EQ(accuracy(classifier, asked), tuning.report().test->chosen.accuracy.value);
}

TEST_F(TuningTest, EpochsFollowTheRowsWhereNobodySays) {
  TuningRequest asked = request(Method::linear);
  asked.recipe.epochs = 0;
  Tuning tuning(model_, tokenizer_.get(), device_, asked);
  tuning.read();
  EXPECT_EQ(tuning.request().recipe.epochs, 30U);  // of 96 rows in steps of 8
  EXPECT_EQ(tuning.request().recipe.batch, 8U);    // as was said
}

TEST_F(TuningTest, CurvesAreOfEveryRungWhoseMembersWereMeasured) {
  TuningRequest asked = request(Method::automatic);
  const auto curves = tuned(asked).report().curves;
  ASSERT_EQ(curves.size(), 3U);  // linear, probe, both
  EXPECT_EQ(name(curves[2].members), "linear+probe");
  asked.curve = true;
  asked.recipe.epochs = 1;
  const Tuning whole = tuned(asked);
  ASSERT_EQ(whole.report().curves.size(), 5U);
  for (const CurveReport& curve : whole.report().curves) {
    ASSERT_EQ(curve.points.size(), 5U);
    EXPECT_EQ(curve.points.front().rows, 6U);
    EXPECT_EQ(curve.points.back().rows, 96U);
    EXPECT_EQ(curve.forecasts.size(), 3U);
    // The last point is the rung itself.
    for (const Rung& rung : whole.report().rungs)
      if (rung.members == curve.members) {
        EXPECT_NEAR(curve.points.back().error.value, 1 - rung.validation.accuracy.value, 1e-12);
      }
  }
  EXPECT_EQ(name(whole.report().curve()->members), "linear");  // which is the chosen one
}

TEST_F(TuningTest, SuspectedLabelsNameFileAndLine) {
  std::ofstream file(directory_.path() / "train.csv");
  file << "text,label\n";
  const std::vector<std::string> fruits{"apple pie", "banana split", "cherry tart"};
  for (int i = 0; i < 120; ++i)
    file << "order " << i << " of " << fruits[static_cast<std::size_t>(i % 3)] << ",fruit"
         << (i == 50 ? 0 : i % 3) << "\n";
  file.close();
  const Tuning tuning = tuned(request(Method::linear));
  const TuningReport& report = tuning.report();
  ASSERT_EQ(report.suspected_rows, 1U);
  EXPECT_EQ(report.suspected[0].line, 52U);  // the header is line 1
  EXPECT_EQ(report.suspected[0].given, "fruit0");
  EXPECT_EQ(report.suspected[0].suggested, "fruit2");
  EXPECT_TRUE(report.data_files[report.suspected[0].file].ends_with("train.csv"));
}

TEST_F(TuningTest, ASearchTakesWhatItsTrialsSay) {
  TuningRequest asked = request(Method::lora);
  asked.recipe.epochs = 4;
  asked.search = {1e-6F, 5e-3F, 2e-6F, 3e-6F};  // of the others nothing is learned in so few steps
  const Tuning tuning = tuned(asked);
  const auto& search = tuning.report().search;
  ASSERT_EQ(search.size(), 6U);
  EXPECT_EQ(search[0].epochs, 1U);
  EXPECT_EQ(search[4].epochs, 2U);
  EXPECT_EQ(std::count_if(search.begin(), search.end(), [](const auto& one) { return one.kept; }),
            3);
  EXPECT_EQ(tuning.request().recipe.learning_rate, 5e-3F);
}

TEST_F(TuningTest, ATrialThatDivergesIsTheWorst) {
  TuningRequest asked = request(Method::lora);
  asked.search = {1e20F, 5e-3F};
  const Tuning tuning = tuned(asked);
  const auto& search = tuning.report().search;
  ASSERT_EQ(search.size(), 2U);
  EXPECT_TRUE(std::isinf(search[0].loss));
  EXPECT_FALSE(search[0].kept);
  EXPECT_EQ(tuning.request().recipe.learning_rate, 5e-3F);
  EXPECT_NE(report_json(tuning.report()).at("search").dump().find("\"loss\":null"),
            std::string::npos);
}

TEST_F(TuningTest, AFinishedTrialIsNotRunAgain) {
  TuningRequest asked = request(Method::lora);
  asked.recipe.epochs = 2;
  asked.search = {1e-3F, 5e-3F};
  asked.snapshot = directory_.path() / "job.snapshot";
  Tuning first(model_, tokenizer_.get(), device_, asked);
  first.read();
  std::size_t steps = 0;
  TuningEvents events;
  events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
  events.training.pause = [&] { return steps >= 30; };  // two trials of 12 steps, then 6 of 24
  EXPECT_FALSE(first.run(events));
  EXPECT_EQ(steps, 30U);

  Tuning second(model_, tokenizer_.get(), device_, asked);
  second.read();
  steps = 0;
  events.training.pause = {};
  EXPECT_TRUE(second.run(events));
  ASSERT_TRUE(second.report().retrained);  // in steps of 15
  EXPECT_EQ(steps, 18U + 15 * second.report().retrained->epochs);
  EXPECT_EQ(second.report().search.size(), 2U);
  asked.snapshot.clear();
  const Tuning whole = tuned(asked);
  EXPECT_EQ(whole.result().adapter->head.weight, second.result().adapter->head.weight);
  for (const auto& file : second.leftovers())
    EXPECT_EQ(std::filesystem::exists(file),
              file.string().ends_with(".result") || file.string().ends_with(".all-rows"))
        << file;
}

TEST_F(TuningTest, ItAbstainsFromWhatIsOutOfScope) {
  TuningRequest asked = request(Method::linear);
  asked.out_of_scope = "fruit2";
  asked.calibration.out_of_scope_recall = 1;
  const Tuning tuning = tuned(asked);
  const TuningReport& report = tuning.report();
  EXPECT_EQ(report.calibration.out_of_scope, 2U);
  ASSERT_TRUE(report.scope.has_value());
  EXPECT_EQ(report.scope->recall, 1);
  EXPECT_EQ(report.scope->accuracy, 1);
  ASSERT_TRUE(report.test->scope.has_value());
  EXPECT_EQ(report.test->scope->out_of_scope, 20U);
  EXPECT_NEAR(report.test->answered, 40.0 / 60, 1e-9);

  Classifier classifier(write(tuning, tuning.request()), model_, tokenizer_, device_);
  EXPECT_EQ(classifier.manifest().calibration.out_of_scope, 2U);
  const auto answers = classifier.answer(
      std::vector<std::string>{"order 5 of banana split to table 3", "order 7 of cherry tart"});
  EXPECT_FALSE(answers[0].abstain);
  EXPECT_TRUE(answers[1].abstain);
}

TEST_F(TuningTest, AnAdapterNeedsRowsOutOfScopeAmongThoseHeldBack) {
  TuningRequest asked = request(Method::lora);
  asked.out_of_scope = "fruit2";  // 40 rows, of which 8 are held back
  Tuning refused(model_, tokenizer_.get(), device_, asked);
  EXPECT_THROW(refused.read(), base::Error);
  asked.method = Method::automatic;  // which has others
  Tuning(model_, tokenizer_.get(), device_, asked).read();
}

TEST_F(TuningTest, AScopeWithoutRowsIsRefused) {
  const auto refused = [&](const std::string& label, std::string_view part) {
    TuningRequest asked = request(Method::linear);
    asked.out_of_scope = label;
    Tuning tuning(model_, tokenizer_.get(), device_, asked);
    try {
      tuning.read();
      ADD_FAILURE() << part;
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused("vegetable", "no training row has the label 'vegetable'");
  std::ofstream(directory_.path() / "train.csv", std::ios::app) << "a,few\nb,few\nc,few\nd,few\n";
  refused("few", "4 of 124 rows have the label 'few'");
}

TEST_F(TuningTest, DataThatCannotBeLearnedIsRefused) {
  const auto refused = [&](const std::string& text, std::string_view part) {
    std::ofstream(directory_.path() / "bad.csv") << text;
    TuningRequest bad = request(Method::linear);
    bad.training = {directory_.path() / "bad.csv"};
    Tuning tuning(model_, tokenizer_.get(), device_, bad);
    try {
      tuning.read();
      ADD_FAILURE() << part;
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused("text,label\na,x\nb,x\nc,x\n", "same label");
  refused("text,label\na,x\nb,y\nc,x\n", "too few");
  refused("text,label\n,x\nb,y\n", "line 2");
}

TEST(ClassifierManifest, RefusesWhatIsNotOne) {
  const std::string good =
      R"({"format":"malina classifier 1","members":[{"method":"linear","weight":1}],"labels":["a","b"],"text":{"max_tokens":9},)"
      R"("base":{"name":"","digest":""},"calibration":{"temperature":1,"conformal_quantile":0.5,)"
      R"("conformal_coverage":0.9,"abstention":null}})";
  EXPECT_EQ(parse_manifest(good, "m").labels.size(), 2U);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), with("classifier 1", "classifier 2"),
        with("\"linear\"", "\"guess\""), with("\"weight\":1", "\"weight\":-1"),
        with("[\"a\",\"b\"]", "[\"b\",\"a\"]"), with("[\"a\",\"b\"]", "[\"a\",1]"),
        with("\"temperature\":1", "\"temperature\":-1"),
        with("\"temperature\":1", "\"temperature\":\"1\""), with("\"max_tokens\":9", "\"x\":9"),
        with("null", "{\"threshold\":2}"), with("null", "null,\"out_of_scope\":\"c\""),
        with("null", "null,\"out_of_scope\":1")})
    EXPECT_THROW(parse_manifest(bad, "m"), base::Error) << bad;
}

}  // namespace
}  // namespace malina::tune
