// Marked spans: places in the text that survive tokens and back, training, and the tagger that is
// read again.
#include "tune/span_tuning.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "model/peft.h"
#include "tune/second_training.h"
#include "tune/span_judgement.h"
#include "tune/span_tagger.h"

namespace malina::tune {
namespace {

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

class SpanTuningTest : public ::testing::Test {
 protected:
  SpanTuningTest() {
    const auto checkpoint = format::Checkpoint::open(kModel);
    tokenizer_ = text::Tokenizer::create(checkpoint->metadata());
    model_ = model::Model::load(checkpoint, device_, pool_);
  }

  // "bring NAME to ROOM": both are marked.
  std::filesystem::path write(const std::string& name, int rows, std::uint64_t seed) const {
    base::Random random(seed);
    std::ofstream file(directory_.path() / name);
    for (int i = 0; i < rows; ++i) {
      const std::string what = "ring" + std::to_string(random.below(90) + 10);
      const std::string where = "hall " + std::to_string(random.below(90) + 10);
      nlohmann::ordered_json row{{"text", "bring " + what + " to " + where + " now"}};
      row["slots"] = {{{"start", 6}, {"end", 12}, {"type", "thing"}},
                      {{"start", 16}, {"end", 23}, {"type", "place"}}};
      file << row.dump() << "\n";
    }
    return directory_.path() / name;
  }

  SpanRequest request(SpanMethod method) {
    SpanRequest request;
    request.training = {write("train.jsonl", 120, 1)};
    request.test = {write("test.jsonl", 40, 2)};
    request.method = method;
    request.recipe.adapter.rank = 4;
    request.recipe.epochs = 4;
    request.recipe.batch = 8;
    request.recipe.learning_rate = 1e-2F;
    request.base_digest = "sha256:" + std::string(64, '0');
    return request;
  }

  // Written as the platform does.
  std::filesystem::path write(const SpanTuning& tuning) const {
    const auto directory = directory_.path() / "tagger";
    const SpanFacts facts{.name = "test",
                          .base_name = "tiny",
                          .base_digest = tuning.request().base_digest,
                          .base_licence = "",
                          .created = "",
                          .version = ""};
    const std::string manifest = manifest_json(tuning.report(), tuning.request(), facts).dump();
    if (tuning.report().uses_adapter()) {
      model::write_peft(
          directory, tuning.adapter(), *model_,
          {.base_name = "tiny", .extra = {{std::string(kSpanManifestName), manifest}}});
      return directory;
    }
    std::filesystem::create_directories(directory);
    for (const auto& [name, content] : {std::pair(kSpanManifestName, manifest),
                                        std::pair(kLinearTaggerName, tuning.linear().bytes())}) {
      base::AtomicFile file(directory / name);
      file.write(content);
      file.commit();
    }
    return directory;
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
  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const model::Model> model_;
};

TEST_F(SpanTuningTest, PlacesSurviveTokensAndBack) {
  const std::string text = "Dej Žluťoučký  kůň, prosím: 2 kg 🍎🍎!";
  const auto place = [&](const std::string& piece) {
    return Slot{text.find(piece), text.find(piece) + piece.size(), "x"};
  };
  const std::vector<std::string> types{"x"};
  for (const std::size_t most : {std::size_t{500}, std::size_t{60}}) {
    const SpanForm form{.max_tokens = most};
    const auto read = form.tokens(*tokenizer_, text);
    EXPECT_EQ(read.ids.size() - read.read_from, read.places.size());
    EXPECT_EQ(read.read_from > 10, most == 500) << "twice where there is room";
    EXPECT_FALSE(read.truncated);
    for (const std::string piece : {"Žluťoučký  kůň", "prosím", "2 kg", "🍎🍎"}) {
      const std::vector<Slot> slots{place(piece)};
      const auto tagged = tagged_spans(slots, read.places, types);
      const auto tags = eval::tags_of(tagged, read.places.size());
      const auto found = found_spans(eval::spans_of(tags), read.places, text);
      ASSERT_EQ(found.size(), 1U) << piece;
      EXPECT_EQ(text.substr(found[0].begin, found[0].end - found[0].begin), piece);
    }
  }
  EXPECT_TRUE(SpanForm{.max_tokens = 5}.tokens(*tokenizer_, text).truncated);
  EXPECT_TRUE(SpanForm{}.tokens(*tokenizer_, "").places.empty());
}

TEST_F(SpanTuningTest, OfOverlappingSpansTheLongestIsLearned) {
  std::ofstream(directory_.path() / "nested.jsonl")
      << R"({"text":"new york city","slots":[{"start":0,"end":3,"type":"a"},)"
      << R"({"start":0,"end":13,"type":"b"},{"start":4,"end":8,"type":"a"}]})" << "\n";
  const std::vector files{directory_.path() / "nested.jsonl"};
  const SpanTexts data = read_span_texts(files);
  ASSERT_EQ(data.slots[0].size(), 1U);
  EXPECT_EQ(data.slots[0][0].type, "b");
  EXPECT_EQ(data.overlapping, 2U);
}

TEST_F(SpanTuningTest, BothMethodsGiveATaggerThatIsReadAgain) {
  for (const SpanMethod method : {SpanMethod::linear, SpanMethod::lora}) {
    SpanTuning tuning(model_, tokenizer_.get(), device_, request(method));
    tuning.read();
    ASSERT_TRUE(tuning.run({}));
    const SpanReport& report = tuning.report();
    EXPECT_EQ(report.types, (std::vector<std::string>{"place", "thing"}));
    EXPECT_EQ(report.training_rows, 96U);
    EXPECT_EQ(report.rungs.front().method, SpanMethod::linear);  // always trained
    ASSERT_TRUE(report.test.has_value());
    EXPECT_GT(report.test->chosen.spans.f1(), method == SpanMethod::linear ? 0.95 : 0.8);
    EXPECT_EQ(report.test->types.size(), 2U);
    EXPECT_GT(report.calibration.temperature, 0);

    const auto directory = write(tuning);
    SpanTagger tagger(directory, model_, tokenizer_, device_);
    const SpanTexts test = read_span_texts(tuning.request().test);
    eval::SpanCounts counts;
    for (std::size_t i = 0; i < test.size(); ++i) {
      const SpanAnswer answer = tagger.answer(std::span(test.texts).subspan(i, 1)).at(0);
      counts.found += answer.spans.size();
      for (const FoundSpan& span : answer.spans) {
        EXPECT_GT(span.probability, 0);
        EXPECT_GE(span.probability, answer.probability - 1e-9);
        for (const Slot& slot : test.slots[i])
          counts.right += slot.start == span.begin && slot.end == span.end &&
                                  slot.type == report.types[span.type]
                              ? 1
                              : 0;
      }
    }
    EXPECT_EQ(counts.found, report.test->chosen.spans.found);
    EXPECT_EQ(counts.right, report.test->chosen.spans.right);
    std::filesystem::remove_all(directory);
  }
}

TEST_F(SpanTuningTest, WhatItSaysOfProbabilitiesAndOfMoreTextsAgreesWithWhatItMeasured) {
  SpanTuning tuning(model_, tokenizer_.get(), device_, request(SpanMethod::lora));
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const SpanReport& report = tuning.report();
  const auto check = [](const SpanAnswers& answers, std::size_t rows, double exact) {
    std::size_t in_bins = 0;
    double right = 0, error = 0;
    for (const eval::ReliabilityBin& bin : answers.bins) {
      const auto count = static_cast<double>(bin.rows);
      in_bins += bin.rows;
      right += bin.accuracy * count;
      error += std::abs(bin.accuracy - bin.confidence) * count / static_cast<double>(rows);
    }
    EXPECT_EQ(in_bins, rows);
    EXPECT_NEAR(right / static_cast<double>(rows), exact, 1e-9);
    EXPECT_NEAR(answers.calibration_error, error, 1e-9);
    ASSERT_FALSE(answers.risk_coverage.empty());
    EXPECT_DOUBLE_EQ(answers.risk_coverage.back().coverage, 1);
    EXPECT_NEAR(answers.risk_coverage.back().risk, 1 - exact, 1e-9);
  };
  EXPECT_GT(report.before.error_by_chance, 0);
  check(report.before, report.validation_rows, report.rungs.back().validation.exact.value);
  check(report.test->answers, report.test_rows, report.test->chosen.exact.value);
  ASSERT_EQ(report.curves.size(), 1U);
  ASSERT_GE(report.curves[0].points.size(), 3U);
  EXPECT_EQ(report.curves[0].points.back().rows, report.training_rows);
  EXPECT_NEAR(report.curves[0].points.back().error.value,
              1 - report.rungs.front().validation.exact.value, 1e-9);
  for (std::size_t i = 1; i < report.curves[0].points.size(); ++i)
    EXPECT_EQ(report.curves[0].points[i - 1].rows, report.curves[0].points[i].rows / 2);
  EXPECT_EQ(report.curves[0].forecasts.size(), 3U);
  EXPECT_FALSE(report.losses.empty());
}

TEST_F(SpanTuningTest, AGuaranteeNeedsTextsThatProveIt) {
  SpanRequest asked = request(SpanMethod::linear);
  for (const double guarantee : {0.0, 0.95}) {
    asked.guarantee = guarantee;
    SpanTuning tuning(model_, tokenizer_.get(), device_, asked);
    tuning.read();
    ASSERT_TRUE(tuning.run({}));
    EXPECT_EQ(tuning.report().calibration.abstention.has_value(), guarantee == 0);
  }
}

TEST_F(SpanTuningTest, ASearchTakesTheRateThatFindsSpans) {
  SpanRequest asked = request(SpanMethod::lora);
  asked.search = {1e-6F, 1e-2F};
  SpanTuning tuning(model_, tokenizer_.get(), device_, asked);
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const auto& search = tuning.report().search;
  ASSERT_EQ(search.size(), 2U);
  EXPECT_EQ(search[0].epochs, 2U);
  EXPECT_GT(search[1].macro_f1, search[0].macro_f1);
  EXPECT_TRUE(search[1].kept && !search[0].kept);
  EXPECT_EQ(tuning.request().recipe.learning_rate, 1e-2F);
  EXPECT_EQ(report_json(tuning.report())["search"].size(), 2U);
}

TEST_F(SpanTuningTest, TheAdaptersCurveGoesOnWhereItWasStopped) {
  SpanRequest asked = request(SpanMethod::lora);
  asked.curve = true;
  asked.snapshot = directory_.path() / "snapshot";
  const auto tuned = [&](const SpanRequest& own, std::uint64_t stop, std::uint64_t* begun) {
    SpanTuning tuning(model_, tokenizer_.get(), device_, own);
    tuning.read();
    SpanEvents events;
    std::uint64_t steps = 0;
    events.training.begun = [&](std::uint64_t done, std::uint64_t) { *begun += done; };
    events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
    events.training.pause = [&] { return steps == stop; };
    const bool finished = tuning.run(events);
    if (finished) {
      for (const auto& left : tuning.leftovers()) std::filesystem::remove(left);
      std::filesystem::remove(own.snapshot);
    }
    return finished ? std::optional(tuning.report()) : std::nullopt;
  };
  std::uint64_t begun = 0;
  const auto whole = tuned(asked, UINT64_MAX, &begun);
  EXPECT_EQ(begun, 0U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 2);  // data
  ASSERT_EQ(whole->curves.size(), 2U);
  const CurveReport& curve = whole->curves[1];
  EXPECT_EQ(name(curve.members), "lora");
  ASSERT_EQ(curve.points.size(), whole->curves[0].points.size());
  EXPECT_NEAR(curve.points.back().error.value, 1 - whole->rungs[1].validation.exact.value, 1e-9);
  EXPECT_GT(curve.points.front().error.value, curve.points.back().error.value);
  EXPECT_EQ(report_json(*whole)["learning_curves"].size(), 2U);
  // 48 steps of the job's own training (12 of an epoch), then those of the first, second, ... part.
  for (const std::uint64_t stop : {50U, 60U}) {
    begun = 0;
    ASSERT_FALSE(tuned(asked, stop, &begun).has_value());
    const auto resumed = tuned(asked, UINT64_MAX, &begun);
    EXPECT_EQ(begun, stop);  // none of these is done again
    ASSERT_EQ(resumed->curves.size(), 2U);
    for (std::size_t i = 0; i < curve.points.size(); ++i)
      EXPECT_EQ(resumed->curves[1].points[i].error.value, curve.points[i].error.value);
  }
}

TEST_F(SpanTuningTest, TheLinearTaggerLearnsFromWhatWasHeldBackInTheEnd) {
  SpanRequest asked = request(SpanMethod::linear);
  SpanTuning tuning(model_, tokenizer_.get(), device_, asked);
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const SpanTexts all = read_span_texts(asked.training);
  const auto fitted = [&](std::size_t rows) {
    std::vector<std::vector<std::uint32_t>> tags;
    for (std::size_t i = 0; i < rows; ++i) {
      const Places words = eval::words_of(all.texts[i]);
      tags.push_back(
          eval::tags_of(tagged_spans(all.slots[i], words, tuning.report().types), words.size()));
    }
    return eval::LinearTagger::fit(std::span(all.texts).first(rows), tags, 2, pool_);
  };
  // As many features: each row has words of its own.
  EXPECT_EQ(tuning.linear().bytes().size(), fitted(120).bytes().size());
  EXPECT_GT(tuning.linear().bytes().size(), fitted(96).bytes().size());
  asked.validation = asked.test;
  asked.training = {write("fewer.jsonl", 108, 1)};
  SpanTuning apart(model_, tokenizer_.get(), device_, asked);
  apart.read();
  ASSERT_TRUE(apart.run({}));
  EXPECT_EQ(apart.linear().bytes().size(), fitted(108).bytes().size());
}

TEST_F(SpanTuningTest, ATaggerAnswersAsItWasCertifiedAndNoOtherDoes) {
  for (const SpanMethod method : {SpanMethod::linear, SpanMethod::lora}) {
    SpanTuning tuning(model_, tokenizer_.get(), device_, request(method));
    tuning.read();
    ASSERT_TRUE(tuning.run({}));
    const Certificate certificate = parse_certificate(to_text(tuning.certificate()), "c");
    ASSERT_EQ(certificate.examples.size(), tuning.report().validation_rows);
    std::vector<std::size_t> places(certificate.examples.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    const auto directory = write(tuning);
    SpanTagger tagger(directory, model_, tokenizer_, device_);
    EXPECT_EQ(difference(certificate, places, tagger), "");

    const auto sure =
        std::ranges::find_if(certificate.examples, [](const Certificate::Example& example) {
          return example.probabilities[0] > 0.6 && !example.spans.empty();
        });
    ASSERT_NE(sure, certificate.examples.end());
    const auto place = static_cast<std::size_t>(sure - certificate.examples.begin());
    const auto changed = [&](const auto& change) {
      Certificate other = certificate;
      change(other.examples[place]);
      return difference(other, places, tagger);
    };
    using Example = Certificate::Example;
    const std::string named = "example " + std::to_string(place + 1);
    for (const std::string& found :
         {changed([](Example& example) { example.probabilities[0] -= 0.1; }),
          changed([](Example& example) { example.probabilities[1] -= 0.1; }),
          changed([](Example& example) { example.spans[0].type = "other"; }),
          changed([](Example& example) { --example.spans[0].end; }),
          changed([](Example& example) { example.tokens = "sha256:0"; }),
          changed([](Example& example) {
            example.spans.clear();
            example.probabilities.resize(1);
          }),
          changed([](Example& example) { example.spans.clear(); })})
      EXPECT_NE(found.find(named), std::string::npos) << found;
    std::filesystem::remove_all(directory);
  }
}

TEST_F(SpanTuningTest, AStoppedJobGoesOnWithTheSameBits) {
  const auto values = [&](const SpanRequest& asked, bool stop) {
    SpanTuning tuning(model_, tokenizer_.get(), device_, asked);
    tuning.read();
    int steps = 0;
    SpanEvents events;
    events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
    if (stop) events.training.pause = [&] { return steps == 5; };
    if (!tuning.run(events)) return std::vector<float>{};
    return tuning.adapter().head.weight;
  };
  SpanRequest asked = request(SpanMethod::lora);
  const auto whole = values(asked, false);
  asked.snapshot = directory_.path() / "snapshot";
  EXPECT_TRUE(values(asked, true).empty());
  EXPECT_EQ(values(asked, false), whole);
}

TEST_F(SpanTuningTest, AFitStopsWhereThatIsAskedFor) {
  SpanTuning tuning(model_, tokenizer_.get(), device_, request(SpanMethod::linear));
  tuning.read();
  SpanEvents events;
  events.training.pause = [] { return true; };
  EXPECT_FALSE(tuning.run(events));
  EXPECT_TRUE(tuning.report().rungs.empty());
  EXPECT_THROW(tuning.run({}), base::Error);
}

TEST_F(SpanTuningTest, OfFewTextsTheAdapterLearnsFromAllInTheEnd) {
  SpanRequest asked = request(SpanMethod::lora);
  const auto tuned = [&] {
    auto tuning = std::make_unique<SpanTuning>(model_, tokenizer_.get(), device_, asked);
    tuning->read();
    return tuning;
  };
  const auto whole = tuned();
  ASSERT_TRUE(whole->run({}));
  EXPECT_EQ(whole->report().refitted_rows, 120U);
  EXPECT_EQ(whole->report().training_rows, 96U);
  const std::size_t before = whole->report().history.size() * 12,
                    epochs = best_of(whole->report().history).epoch;

  SpanRequest apart = asked;  // nothing was held back
  apart.validation = apart.test;
  std::swap(asked, apart);
  const auto without = tuned();
  ASSERT_TRUE(without->run({}));
  EXPECT_FALSE(without->report().refitted_rows);
  std::swap(asked, apart);

  // Stopped in the second training, and taken up by another process and by the same object.
  asked.snapshot = directory_.path() / "job.snapshot";
  std::size_t steps = 0;
  SpanEvents events;
  events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
  events.training.pause = [&] { return steps >= before + 7; };
  const auto first = tuned(), second = tuned();
  EXPECT_FALSE(first->run(events));
  EXPECT_FALSE(first->report().refitted_rows);
  EXPECT_NE(first->adapter(), whole->adapter());  // the first training's
  EXPECT_EQ(first->leftovers().size(), 1U);
  steps = 0;
  events.training.pause = {};
  EXPECT_TRUE(second->run(events));
  EXPECT_EQ(steps, 15 * epochs - 7);
  EXPECT_TRUE(first->run(events));
  for (const SpanTuning* tuning : {first.get(), second.get()}) {
    EXPECT_EQ(tuning->report().rungs.size(), 2U);
    EXPECT_EQ(tuning->adapter(), whole->adapter());
    EXPECT_EQ(tuning->report().test->chosen.spans.right, whole->report().test->chosen.spans.right);
  }
}

TEST_F(SpanTuningTest, ASecondTrainingThatGoesWrongLeavesTheFirst) {
  SpanTuning tuning(model_, tokenizer_.get(), device_, request(SpanMethod::lora));
  tuning.read();
  bool second = false;
  SpanEvents events;
  events.stage = [&](std::string_view stage, std::size_t, std::size_t) {
    second = second || stage == "the adapter once more, on all texts";
  };
  events.training.step = [&](const StepReport& report, std::uint64_t) {
    if (second && report.step == 3) throw DivergedError(3);
  };
  EXPECT_TRUE(tuning.run(events));
  EXPECT_TRUE(second);
  EXPECT_FALSE(tuning.report().refitted_rows);
  EXPECT_FALSE(tuning.report().refitting_left_out.empty());
  // What was written answers as what was measured.
  SpanTagger tagger(write(tuning), model_, tokenizer_, device_);
  const Certificate certificate = parse_certificate(to_text(tuning.certificate()), "c");
  std::vector<std::size_t> places(certificate.examples.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  EXPECT_EQ(difference(certificate, places, tagger), "");
}

TEST(SpanRung, IsBeatenByTextsOrByWrongSpans) {
  SpanRung linear{.validation = {.spans = {}, .exact = {0.5, {}}}, .errors = 1.5, .p_value = {}};
  const auto adapter = [](double exact, double p, double errors, double errors_p) {
    return SpanRung{.method = SpanMethod::lora,
                    .validation = {.spans = {}, .exact = {exact, {}}},
                    .errors = errors,
                    .p_value = p,
                    .errors_p_value = errors_p};
  };
  const auto by = [&](const SpanRung& rung) { return beats(linear, rung, 0.05); };
  EXPECT_EQ(by(adapter(0.7, 0.01, 1.2, 0.3)), "texts that are wholly right");
  EXPECT_EQ(by(adapter(0.5, 1, 1.0, 0.01)), "wrong spans");
  EXPECT_EQ(by(adapter(0.48, 0.9, 1.0, 0.01)), "");  // fewer texts are right
  EXPECT_EQ(by(adapter(0.7, 0.2, 1.2, 0.3)), "");
  EXPECT_EQ(by(adapter(0.3, 0.01, 1.9, 0.01)), "");  // significantly worse
}

TEST(SecondTraining, IsOfNoUseWhereItsLossIsFarAbove) {
  EXPECT_EQ(fault_of_second_training(0.1, 0.69), "");
  EXPECT_EQ(fault_of_second_training(2, 4.4), "");
  EXPECT_NE(fault_of_second_training(0.1, 0.71), "");
  EXPECT_NE(fault_of_second_training(2, std::nan("")), "");
}

TEST(SpanErrors, CountWhatWasMissedAndWhatIsNotThere) {
  SpanTexts data;
  data.texts = {"ring to hall", "ring", "to"};
  data.slots = {{{0, 4, "thing"}, {8, 12, "place"}}, {{0, 4, "thing"}}, {}};
  const std::vector<std::string> types{"place", "thing"};
  // Tags: outside, begin and go on of each type; those that are said are certain.
  const auto scored = [](Places places, const std::vector<std::uint32_t>& tags) {
    eval::ProbabilityTable table{.classes = 5, .values = {}};
    for (const std::uint32_t tag : tags)
      for (std::uint32_t k = 0; k < 5; ++k) table.values.push_back(k == tag ? 10 : 0);
    return ScoredText{std::move(places), std::move(table)};
  };
  const std::vector<ScoredText> answers{scored({{0, 4}, {5, 7}, {8, 12}}, {3, 1, 0}),
                                        scored({{0, 4}}, {3}), scored({{0, 2}}, {1})};
  EXPECT_EQ(span_errors(data, answers, types), (std::vector<double>{2, 0, 1}));
}

TEST_F(SpanTuningTest, DataThatCannotBeLearnedIsRefused) {
  const auto read = [&](const std::string& text) {
    SpanRequest asked = request(SpanMethod::linear);
    std::ofstream(directory_.path() / "bad.jsonl") << text;
    asked.training = {directory_.path() / "bad.jsonl"};
    return message_of([&] { SpanTuning(model_, tokenizer_.get(), device_, asked).read(); });
  };
  std::string none, label;
  for (int i = 0; i < 30; ++i) none += "{\"text\":\"a b\",\"slots\":[]}\n";
  EXPECT_NE(read(none).find("no span is marked"), std::string::npos);
  EXPECT_NE(read("{\"text\":\"a\",\"label\":\"b\"}\n").find("line 1: a tagger needs"),
            std::string::npos);
  EXPECT_NE(read(none.substr(0, none.find('\n') + 1)).find("no span"), std::string::npos);
}

TEST_F(SpanTuningTest, ManifestsThatAreBrokenSayWhere) {
  SpanTuning tuning(model_, tokenizer_.get(), device_, request(SpanMethod::linear));
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const auto good = manifest_json(tuning.report(), tuning.request(),
                                  {.name = "t",
                                   .base_name = "",
                                   .base_digest = "",
                                   .base_licence = "",
                                   .created = "",
                                   .version = ""});
  EXPECT_EQ(parse_span_manifest(good.dump(), "m").types.size(), 2U);
  for (const char* key : {"answers", "spans"}) {
    auto other = good;
    other["calibration"][key] = {{"slope", 0.001}, {"offset", 0}};
    EXPECT_NE(message_of([&] { parse_span_manifest(other.dump(), "m"); }).find("slope"),
              std::string::npos);
    other["calibration"].erase(key);  // as in what was made before there were any
    const SpanCalibration read = parse_span_manifest(other.dump(), "m").calibration;
    EXPECT_EQ((std::string_view(key) == "spans" ? read.spans : read.answers).slope, 1);
  }
  for (const char* key : {"format", "method", "types", "text", "calibration", "base"}) {
    auto broken = good;
    broken.erase(key);
    EXPECT_NE(message_of([&] { parse_span_manifest(broken.dump(), "m"); }).find(key),
              std::string::npos);
    broken[key] = 7;
    EXPECT_NE(message_of([&] { parse_span_manifest(broken.dump(), "m"); }).find(key),
              std::string::npos);
  }
  EXPECT_FALSE(model_card(tuning.report(), tuning.request(), {}).empty());
}

}  // namespace
}  // namespace malina::tune
