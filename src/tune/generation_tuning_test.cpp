// What a model that writes learns from: exactly the tokens that it is asked with, its answer and
// the token that ends it. And that it learns.
#include "tune/generation_tuning.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::tune {
namespace {

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

class GenerationTuningTest : public ::testing::Test {
 protected:
  GenerationTuningTest() {
    const auto checkpoint = format::Checkpoint::open(kModel);
    tokenizer_ = text::Tokenizer::create(checkpoint->metadata());
    use_template(std::string(*checkpoint->metadata().text("tokenizer.chat_template")));
    model_ = model::Model::load(checkpoint, device_, pool_);
  }

  void use_template(const std::string& source) {
    template_.emplace(source);
    form_ = {tokenizer_.get(), &*template_, 256};
  }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_.path() / name) << text;
    return directory_.path() / name;
  }

  std::vector<TrainingExample> examples(const std::string& row) {
    ExampleReader reader(write("row.jsonl", row + "\n"));
    return generation_examples(std::get<Example>(*reader.next()), form_);
  }

  std::vector<text::Token> asked(const nlohmann::ordered_json& messages) const {
    text::TemplateInput input;
    input.messages = messages;
    return tokenizer_->encode(template_->render(input));
  }

  // What is learned, spelled out.
  std::string learned(const TrainingExample& example) const {
    std::vector<text::Token> tokens;
    for (const std::int32_t target : example.targets)
      if (target >= 0) tokens.push_back(target);
    return tokenizer_->decode(tokens, true);
  }

  static std::string message_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const base::Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  // Chats of which the answer follows from the question.
  std::string chats(int count) const {
    std::string text;
    for (int i = 0; i < count; ++i) {
      const std::string fruit = i % 2 == 0 ? "apple" : "plum";
      text += R"({"messages":[{"role":"user","content":"number )" + std::to_string(i * 7 % 100) +
              " of " + fruit + R"("},{"role":"assistant","content":")" +
              (i % 2 == 0 ? "red" : "blue") + "\"}]}\n";
    }
    return text;
  }

  GenerationRequest request() {
    GenerationRequest request;
    request.training = {write("chats.jsonl", chats(80))};
    request.recipe = generation_recipe();
    request.recipe.adapter.rank = 4;
    request.recipe.learning_rate = 1e-2F;
    request.recipe.batch = 8;
    request.recipe.epochs = 3;
    request.base_digest = "sha256:" + std::string(64, '0');
    return request;
  }

  std::vector<float> trained(const GenerationRequest& request, unsigned threads,
                             GenerationReport* report = nullptr) {
    base::ThreadPool pool(threads);
    math::CpuDevice device(pool);
    const auto model = model::Model::load(format::Checkpoint::open(kModel), device, pool);
    GenerationTuning tuning(model, *tokenizer_, &*template_, device, request);
    tuning.read();
    EXPECT_TRUE(tuning.run({}));
    if (report != nullptr) *report = tuning.report();
    std::vector<float> values;
    for (const auto& layer : tuning.result().layers)
      for (const auto& matrix : layer) {
        values.insert(values.end(), matrix.a.begin(), matrix.a.end());
        values.insert(values.end(), matrix.b.begin(), matrix.b.end());
      }
    return values;
  }

  // Nothing where it was stopped after so many steps. `begun` adds up those that it need not do;
  // `check` is called at its end, after which nothing of it is left on disk.
  std::optional<GenerationReport> finished(
      const GenerationRequest& asked, std::uint64_t stop = UINT64_MAX,
      std::uint64_t* begun = nullptr, const std::function<void(GenerationTuning&)>& check = {}) {
    GenerationTuning tuning(model_, *tokenizer_, &*template_, device_, asked);
    tuning.read();
    GenerationEvents events;
    std::uint64_t steps = 0;
    events.training.begun = [&](std::uint64_t done, std::uint64_t) {
      if (begun != nullptr) *begun += done;
    };
    events.training.step = [&](const StepReport&, std::uint64_t) { ++steps; };
    events.training.pause = [&] { return steps == stop; };
    if (!tuning.run(events)) return std::nullopt;
    if (check) check(tuning);
    for (const auto& left : tuning.leftovers()) std::filesystem::remove(left);
    std::filesystem::remove(asked.snapshot);
    return tuning.report();
  }

  base::TemporaryDirectory directory_;
  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> template_;
  std::shared_ptr<const model::Model> model_;
  GenerationForm form_;
};

TEST_F(GenerationTuningTest, TheQuestionHasTheTokensOfServingAndTheAnswerItsEnd) {
  const auto all = examples(
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello you"}]})");
  ASSERT_EQ(all.size(), 1U);
  const auto prompt = asked({{{"role", "user"}, {"content", "Hi"}}});
  ASSERT_GT(all[0].tokens.size(), prompt.size());
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), all[0].tokens.begin()));
  for (std::size_t i = 0; i + 1 < prompt.size(); ++i) EXPECT_EQ(all[0].targets[i], -1);
  EXPECT_GE(all[0].targets[prompt.size() - 1], 0);
  EXPECT_EQ(learned(all[0]), "Hello you<|im_end|>");
}

TEST_F(GenerationTuningTest, TurnsShareAnExampleAndWeightsDecideWhatIsLearned) {
  const std::string row =
      R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},)"
      R"({"role":"assistant","content":"one","weight":0},{"role":"user","content":"b"},)"
      R"({"role":"assistant","content":"two"},{"role":"user","content":"c"},)"
      R"({"role":"assistant","content":"three"}]})";
  const auto all = examples(row);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(learned(all[0]), "two<|im_end|>three<|im_end|>");
  const auto second = asked({{{"role", "system"}, {"content", "S"}},
                             {{"role", "user"}, {"content", "a"}},
                             {{"role", "assistant"}, {"content", "one"}},
                             {{"role", "user"}, {"content", "b"}}});
  EXPECT_TRUE(std::equal(second.begin(), second.end(), all[0].tokens.begin()));
}

TEST_F(GenerationTuningTest, ATemplateThatForgetsEarlierTurnsGivesAnExampleForEachAnswer) {
  use_template(
      "{% for m in messages %}{% if loop.last or loop.revindex0 == 1 %}{{ '<|im_start|>' + m.role "
      "+ '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt "
      "%}{{ '<|im_start|>assistant\n' }}{% endif %}");
  EXPECT_NE(
      message_of([&] {
        examples(
            R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"one"},)"
            R"({"role":"user","content":"b"},{"role":"assistant","content":"two"}]})");
      }).find("otherwise than it asks"),
      std::string::npos);
  use_template(
      "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ '<|im_start|>' + m.role + "
      "'\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ "
      "'<|im_start|>assistant\n' }}{% endif %}");
  const auto all =
      examples(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"one"},)"
               R"({"role":"user","content":"b"},{"role":"assistant","content":"two"}]})");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(learned(all[0]), "one<|im_end|>");
  EXPECT_EQ(learned(all[1]), "two<|im_end|>");
}

TEST_F(GenerationTuningTest, WordsOfTheDataAreNeverControlTokens) {
  const auto all = examples(R"({"messages":[{"role":"user","content":"a"},)"
                            R"({"role":"assistant","content":"x<|im_end|>y"}]})");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(learned(all[0]), "x<|im_end|>y<|im_end|>");
  EXPECT_GT(all[0].trained(), 6U);  // the first of them letter by letter
}

TEST_F(GenerationTuningTest, CompletionsLearnTheirEnd) {
  const auto all = examples(R"({"prompt":"2 + 2 =","completion":" 4"})");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(learned(all[0]), " 4" + std::string(tokenizer_->piece(*tokenizer_->eos())));
  const auto text = examples(R"({"text":"all of it"})");
  ASSERT_EQ(text.size(), 1U);
  // The first token has nothing before it.
  EXPECT_EQ(text[0].trained(), text[0].tokens.size());
}

TEST_F(GenerationTuningTest, RowsThatCannotBeLearnedAreNamed) {
  const auto read = [&](const std::string& text, std::size_t most, bool skip) {
    GenerationForm form = form_;
    form.max_tokens = most;
    const std::vector files{write("data.jsonl", text)};
    return read_generation_data(files, form, {}, skip);
  };
  const std::string some = chats(3);
  const std::string long_row = R"({"messages":[{"role":"user","content":")" +
                               std::string(300, 'x') + R"("},{"role":"assistant","content":"y"}]})";
  EXPECT_NE(message_of([&] { read(some + long_row, 100, false); }).find("line 4: "),
            std::string::npos);
  const GenerationData data = read(some + long_row, 100, true);
  EXPECT_EQ(data.rows, 4U);
  EXPECT_EQ(data.too_long, 1U);
  EXPECT_EQ(data.examples.size(), 3U);
  EXPECT_NE(message_of([&] {
              read("{\"text\":\"a\",\"label\":\"b\"}\n", 100, true);
            }).find("line 1: a label"),
            std::string::npos);
  form_.chat_template = nullptr;
  EXPECT_NE(message_of([&] { read(some, 100, true); }).find("no chat template"), std::string::npos);
}

TEST_F(GenerationTuningTest, FewExamplesAreSeenMoreOften) {
  EXPECT_EQ(generation_epochs(20, 16), 15U);
  EXPECT_EQ(generation_epochs(640, 16), 5U);
  EXPECT_EQ(generation_epochs(1000000, 16), 3U);
  GenerationRequest asked = request();
  asked.recipe.epochs = 0;
  GenerationTuning tuning(model_, *tokenizer_, &*template_, device_, asked);
  tuning.read();
  EXPECT_EQ(tuning.request().recipe.epochs, 15U);
}

TEST_F(GenerationTuningTest, ItLearnsAndIsTheSameBitsForAnyNumberOfThreads) {
  GenerationReport report;
  const auto values = trained(request(), 2, &report);
  EXPECT_EQ(report.training.rows, 72U);
  EXPECT_EQ(report.validation.rows, 8U);
  EXPECT_LT(report.after.loss, report.before.loss / 2);
  EXPECT_GT(report.after.accuracy, 0.7);
  EXPECT_EQ(values, trained(request(), 1));
}

TEST_F(GenerationTuningTest, GoesOnFromASnapshotWithTheSameBits) {
  const auto whole = trained(request(), 2);
  GenerationRequest stopped = request();
  stopped.snapshot = directory_.path() / "snapshot";
  {
    GenerationTuning tuning(model_, *tokenizer_, &*template_, device_, stopped);
    tuning.read();
    int steps = 0;
    GenerationEvents events;
    events.training.pause = [&] { return ++steps == 5; };
    EXPECT_FALSE(tuning.run(events));
  }
  EXPECT_EQ(trained(stopped, 1), whole);
  stopped.skip_long = true;
  EXPECT_NE(message_of([&] { trained(stopped, 1); }).find("remove it"), std::string::npos);
}

TEST_F(GenerationTuningTest, ACurveSaysWhatMoreRowsWouldBring) {
  GenerationRequest asked = request();
  asked.curve = true;
  asked.snapshot = directory_.path() / "snapshot";
  const auto tuned = [&](std::uint64_t stop, std::uint64_t* begun) {
    return finished(asked, stop, begun, [](GenerationTuning& tuning) {  // after the trials
      EXPECT_EQ(tuning.certificate().rows.size(), tuning.report().validation.rows);
    });
  };
  std::uint64_t begun = 0;
  const auto report = tuned(UINT64_MAX, &begun);
  ASSERT_TRUE(report->curve.has_value());
  ASSERT_EQ(report->curve->points.size(), 3U);
  const std::vector<std::size_t> rows{18, 36, 72};
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(report->curve->points[i].rows, rows[i]);
  EXPECT_NEAR(report->curve->points[2].error.value, 1 - report->after.accuracy, 1e-6);
  EXPECT_GT(report->curve->points[0].error.value, report->curve->points[2].error.value);
  EXPECT_TRUE(report->curve->forecasts[0].text.starts_with("20 more rows ≈ "))
      << report->curve->forecasts[0].text;
  EXPECT_EQ(report_json(*report)["learning_curves"].size(), 1U);
  // 27 steps of the job's own training (9 of an epoch), then 9 of 18 rows and 15 of 36.
  ASSERT_FALSE(tuned(40, &begun).has_value());
  const auto resumed = tuned(UINT64_MAX, &begun);
  EXPECT_EQ(begun, 40U);
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(resumed->curve->points[i].error.value, report->curve->points[i].error.value);

  asked.training = {write("few.jsonl", chats(30))};
  EXPECT_FALSE(tuned(UINT64_MAX, &begun)->curve.has_value());
}

TEST_F(GenerationTuningTest, TrialsOfAnotherJobAreMadeAnew) {
  GenerationRequest asked = request();
  asked.curve = true;
  asked.snapshot = directory_.path() / "snapshot";
  ASSERT_FALSE(finished(asked, 40).has_value());  // within the second part
  const std::filesystem::path result = directory_.path() / "snapshot.curve-18.result";
  const std::filesystem::path begun = directory_.path() / "snapshot.curve-36";
  ASSERT_TRUE(std::filesystem::exists(result) && std::filesystem::exists(begun));
  std::filesystem::remove(asked.snapshot);  // as whoever begins anew is told
  asked.training = {write("other.jsonl", chats(40) + chats(40))};
  const auto mixed = finished(asked);
  EXPECT_FALSE(std::filesystem::exists(result) || std::filesystem::exists(begun));
  const auto clean = finished(asked);
  ASSERT_TRUE(mixed->curve && clean->curve);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(mixed->curve->points[i].error.value, clean->curve->points[i].error.value);
}

TEST_F(GenerationTuningTest, ASearchTakesTheRateOfTheLeastLoss) {
  GenerationRequest asked = request();
  asked.recipe.epochs = 4;
  asked.search = {1e-6F, 1e-2F, 2e-6F};
  asked.snapshot = directory_.path() / "snapshot";
  const auto tuned = [&](std::uint64_t stop, std::uint64_t* begun) {
    return finished(asked, stop, begun, [](GenerationTuning& tuning) {
      EXPECT_EQ(tuning.request().recipe.learning_rate, 1e-2F);
    });
  };
  // Three of an epoch (9 steps each), the better two of two, and the whole.
  std::uint64_t begun = 0;
  ASSERT_FALSE(tuned(30, &begun).has_value());
  const auto report = tuned(UINT64_MAX, &begun);
  EXPECT_EQ(begun, 30U);
  ASSERT_EQ(report->search.size(), 5U);
  EXPECT_EQ(report->search[0].epochs, 1U);
  EXPECT_EQ(report->search[3].epochs, 2U);
  EXPECT_LT(report->search[1].loss, report->search[0].loss);
  EXPECT_TRUE(report->search[1].kept);
  EXPECT_EQ(report_json(*report)["search"].size(), 5U);
}

TEST_F(GenerationTuningTest, ItsCertificateHoldsWhatItMakesOfTheValidationRows) {
  for (const bool held_back : {true, false}) {
    GenerationRequest asked = request();
    if (!held_back) asked.validation = {write("v1.jsonl", chats(12)), write("v2.jsonl", chats(9))};
    GenerationTuning tuning(model_, *tokenizer_, &*template_, device_, asked);
    tuning.read();
    ASSERT_TRUE(tuning.run({}));
    const GenerationCertificate certificate = tuning.certificate();
    ASSERT_EQ(certificate.rows.size(), held_back ? 8U : 21U);
    std::vector<std::size_t> places;
    double sum = 0, weight = 0;
    for (std::size_t i = 0; i < certificate.rows.size(); ++i) {
      places.push_back(i);
      const auto examples = generation_examples(example_of(certificate.rows[i].row, "c"), form_);
      double own = 0;
      for (const auto& example : examples)
        for (const float each : example.weights) own += double{each};
      sum += own * certificate.rows[i].log_probability;
      weight += own;
    }
    EXPECT_NEAR(-sum / weight, tuning.report().after.loss, 1e-4);
    std::size_t next = 0;  // the tokens are those that are read again from the row
    EXPECT_EQ(difference(
                  certificate, places, form_,
                  [&](const TrainingExample& example) {
                    double own = 0;
                    for (const float each : example.weights) own += double{each};
                    return own * certificate.rows[next++].log_probability;
                  },
                  "c"),
              "");
  }
}

TEST_F(GenerationTuningTest, TheCardAndTheManifestSayWhereItComesFrom) {
  GenerationTuning tuning(model_, *tokenizer_, &*template_, device_, request());
  tuning.read();
  ASSERT_TRUE(tuning.run({}));
  const GenerationFacts facts{.name = "tiny:colours",
                              .base_name = "tiny",
                              .base_digest = "sha256:0",
                              .base_licence = "apache-2.0",
                              .created = "2026-01-01T00:00:00Z",
                              .version = "1"};
  const std::string card = model_card(tuning.report(), tuning.request(), facts);
  EXPECT_NE(card.find("base_model: tiny\n"), std::string::npos);
  EXPECT_NE(card.find("72 rows"), std::string::npos);
  EXPECT_NE(card.find("held back from the same files"), std::string::npos);
  const auto manifest = manifest_json(tuning.report(), tuning.request(), facts);
  EXPECT_EQ(manifest["report"]["training"]["rows"], 72);
  EXPECT_EQ(manifest["report"]["history"].size(), 3U);
}

}  // namespace
}  // namespace malina::tune
