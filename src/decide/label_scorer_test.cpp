#include "decide/label_scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "decide/span_extractor.h"
#include "engine/test_bench.h"

namespace malina::decide {
namespace {

class LabelScorerTest : public testing::Test {
 protected:
  engine::Bench bench_{{"tiny/q4_1"}};
  std::unique_ptr<engine::Engine> engine_ = bench_.engine({.context = 1200, .positions = 40000});
  PromptSource source_{
      std::shared_ptr<const text::Tokenizer>(std::shared_ptr<void>(), &engine_->tokenizer()),
      nullptr};

  static std::shared_ptr<const Question> question(const std::string& json) {
    return std::make_shared<Question>(parse_question_file(json, "q").front());
  }
  LabelScorer scorer(const std::string& json) const {
    return {source_, question(json), engine_->context()};
  }
  engine::Finished run(engine::Generation generation) const {
    const auto stream = engine_->submit(std::move(generation));
    while (stream->next()) {
    }
    return stream->finished();
  }
  std::vector<Answer> answers(const LabelScorer& scorer, const std::vector<std::string>& texts,
                              const LabelScores& prior = {}) const {
    LabelScorer::Batch batch = scorer.ask(texts, !prior.empty());
    const engine::Finished finished = run(std::move(batch.generation));
    return scorer.answers(batch, finished, prior);
  }
  // By scoring the whole prompt with the label, as any client of /v1/completions could.
  double log_probability(const Question& question, const std::string& text,
                         const std::string& label) const {
    const std::string prompt = message_of(question, text) + "\n\nAnswer:";
    const auto before =
        source_.tokenizer->encode(prompt, {.add_bos = source_.tokenizer->adds_bos()});
    engine::Generation whole;
    whole.prompt =
        source_.tokenizer->encode(prompt + " " + label, {.add_bos = source_.tokenizer->adds_bos()});
    whole.score_prompt = true;
    whole.log_probabilities = 0;
    const auto stream = engine_->submit(std::move(whole));
    double sum = 0;
    for (std::size_t i = 0; auto event = stream->next(); ++i)
      if (i >= before.size()) sum += event->log_probability.value();
    return sum;
  }
};

const char* const kChoice = R"({"type": "choice", "instructions": "Which intent?",
    "choices": [{"value": "card arrival", "description": "when it comes"}, "card lost", "refund"]})";

TEST_F(LabelScorerTest, ProbabilitiesAreThoseOfWholeLabels) {
  const LabelScorer scorer = this->scorer(kChoice);
  const std::vector<std::string> texts{"Where is my card?", "I want my money", "Hello there"};
  const auto answers = this->answers(scorer, texts);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<double> expected;
    for (const Option& option : scorer.question().options)
      expected.push_back(std::exp(log_probability(scorer.question(), texts[i], option.label)));
    const double mass = std::accumulate(expected.begin(), expected.end(), 0.0);
    EXPECT_NEAR(answers[i].label_mass, mass, 1e-12);
    double sum = 0;
    for (std::size_t j = 0; j < expected.size(); ++j) {
      EXPECT_NEAR(answers[i].probabilities[j], expected[j] / mass, 1e-9);
      sum += answers[i].probabilities[j];
    }
    EXPECT_NEAR(sum, 1, 1e-12);
    EXPECT_EQ(answers[i].probability, answers[i].probabilities[answers[i].best]);
    EXPECT_NEAR(answers[i].confidence, (answers[i].probability - 1.0 / 3) / (2.0 / 3), 1e-12);
    EXPECT_FALSE(answers[i].calibrated);
    EXPECT_FALSE(answers[i].abstain);
  }
}

TEST_F(LabelScorerTest, TextsTogetherHaveTheAnswersThatEachHasAlone) {
  for (const std::string extra :
       {"", R"(, "prior": "content_free")", R"(, "normalization": "mean")", R"(, "multiple": true)",
        R"(, "multiple": true, "prior": "content_free")"}) {
    std::string json = kChoice;
    json.insert(json.size() - 1, extra);
    const LabelScorer scorer = this->scorer(json);
    const std::vector<std::string> texts{"Where is my card?", "Where is my money?", "x"};
    const auto together = answers(scorer, texts);
    LabelScores prior;
    if (scorer.question().subtract_prior) {
      LabelScorer::Batch batch = scorer.ask_prior();
      const auto finished = run(std::move(batch.generation));
      prior = scorer.prior(batch, finished);
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto alone = answers(scorer, {texts[i]}, prior);
      EXPECT_EQ(alone[0].probabilities, together[i].probabilities) << extra;  // bits
      EXPECT_EQ(alone[0].label_mass, together[i].label_mass);
    }
  }
}

TEST_F(LabelScorerTest, ALabelThatAnotherContinuesEnds) {
  const auto tokens = label_tokens(source_, {"card", "card lost", "refund"});
  ASSERT_EQ(tokens.labels.size(), 3u);
  EXPECT_EQ(tokens.labels[0].back(), source_.tokenizer->eos());
  EXPECT_NE(tokens.labels[1].back(), source_.tokenizer->eos());
  EXPECT_NE(tokens.labels[2].back(), source_.tokenizer->eos());
}

TEST_F(LabelScorerTest, ThePriorIsTakenOff) {
  std::string json = kChoice;
  const LabelScorer plain = scorer(json);
  json.insert(json.size() - 1, R"(, "prior": "content_free")");
  const LabelScorer corrected = scorer(json);
  const std::vector<std::string> text{"Where is my card?"};
  const auto before = answers(plain, text)[0];
  const auto after = answers(corrected, text)[0];
  EXPECT_EQ(before.label_mass, after.label_mass);
  // p' is proportional to p over the mean of what three texts without content give.
  std::vector<double> expected;
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string& label = plain.question().options[i].label;
    double prior = 0;
    for (const char* each : {"N/A", "[MASK]", ""})
      prior += std::exp(log_probability(plain.question(), each, label)) / 3;
    expected.push_back(before.probabilities[i] / prior);
    sum += expected.back();
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(after.probabilities[i], expected[i] / sum, 1e-9);
}

TEST_F(LabelScorerTest, ATextThatCannotBeAskedAboutIsRefusedAlone) {
  const LabelScorer scorer = this->scorer(kChoice);
  const std::vector<std::string> texts{"good", " ", "bad \xff", std::string(9000, 'x')};
  LabelScorer::Batch batch = scorer.ask(texts);
  EXPECT_EQ(batch.refusals[0], "");
  EXPECT_EQ(batch.refusals[1], "the text is empty");
  EXPECT_EQ(batch.refusals[2], "the text is not valid UTF-8: its byte 5 is 0xff");
  EXPECT_NE(batch.refusals[3].find("but the context holds 1200"), std::string::npos);
  const auto finished = run(std::move(batch.generation));
  EXPECT_EQ(scorer.answers(batch, finished)[0].probabilities.size(), 3u);
  EXPECT_TRUE(scorer.ask(std::vector<std::string>{""}).generation.continuations.empty());
}

TEST_F(LabelScorerTest, PredicatesScoresAndThresholds) {
  const LabelScorer predicate =
      scorer(R"({"type": "predicate", "instructions": "It is about a card.", "abstain_below": 1})");
  const Answer yes = answers(predicate, {"Where is my card?"})[0];
  ASSERT_EQ(yes.probabilities.size(), 1u);
  EXPECT_EQ(yes.holds, yes.probabilities[0] > 0.5);
  EXPECT_EQ(yes.probability, std::max(yes.probabilities[0], 1 - yes.probabilities[0]));
  EXPECT_TRUE(yes.abstain);
  const Json json = to_json(predicate.question(), yes);
  EXPECT_EQ(json["type"], "predicate");
  EXPECT_EQ(json["abstain"], true);
  EXPECT_EQ(json["calibrated"], false);

  const LabelScorer score = scorer(
      R"({"type": "score", "instructions": "How good?", "levels": ["bad", "fair", "good"]})");
  const Answer level = answers(score, {"Very nice"})[0];
  EXPECT_NEAR(level.score, level.probabilities[1] + 2 * level.probabilities[2], 1e-12);
  EXPECT_GE(level.confidence, 0);
  EXPECT_LE(level.confidence, 1);

  const Calibration calibration{.temperature = 3, .abstain_below = 0.99};
  LabelScorer::Batch batch = score.ask(std::vector<std::string>{"Very nice"});
  const auto finished = run(std::move(batch.generation));
  const Answer softer = score.answers(batch, finished, {}, &calibration)[0];
  EXPECT_TRUE(softer.calibrated);
  EXPECT_TRUE(softer.abstain);
  EXPECT_EQ(softer.best, level.best);
  EXPECT_LT(softer.probability, level.probability);
}

// The must: what labels cost after a prompt is their trie, and what a row of a file costs is its
// own text and that.
TEST_F(LabelScorerTest, WhatIsSharedIsComputedOnce) {
  const LabelScorer scorer = this->scorer(kChoice);
  std::vector<std::string> texts;
  for (int i = 0; i < 16; ++i) texts.push_back("Number " + std::to_string(i) + " is my card?");
  std::size_t own = 0;  // positions that the texts alone need
  std::size_t trie = 0;
  LabelScorer::Batch batch = scorer.ask(texts);
  const std::size_t shared = batch.generation.prompt.size();
  for (const std::size_t tokens : batch.prompt_tokens) own += tokens - shared;
  {
    LabelScorer::Batch alone = scorer.ask(std::vector<std::string>{texts[0]});
    trie = run(std::move(alone.generation)).continuation_tokens;
  }
  const engine::Finished finished = run(std::move(batch.generation));
  EXPECT_GT(shared, 20u);
  EXPECT_GT(trie, 2u);
  // Texts that begin alike share that, too; and the instructions are once in all of it.
  EXPECT_LE(finished.continuation_tokens, own + texts.size() * trie);
  EXPECT_GT(finished.continuation_tokens, (own + texts.size() * trie) / 2);
}

TEST_F(LabelScorerTest, WhatIsExtractedStandsInTheText) {
  const auto tokens =
      std::make_shared<TokenBytes>(source_.tokenizer, engine_->model().sizes().vocab);
  const SpanExtractor extractor(
      source_, question(R"({"type": "extract", "instructions": "The city.", "most_spans": 3})"),
      tokens, engine_->context());
  for (const std::string text : {"From Plzeň to Brno, today", "x", "a\nb c\n\nd"}) {
    const auto stream = engine_->submit(extractor.ask(text));
    std::vector<SpanExtractor::WrittenToken> written;
    while (const auto event = stream->next())
      written.push_back({event->token, event->log_probability.value()});
    const Answer answer = extractor.answer_of(text, written);
    EXPECT_LE(answer.spans.size(), 3u);
    for (const Span& span : answer.spans) {
      EXPECT_EQ(text.substr(span.start_byte, span.end_byte - span.start_byte), span.text);
      EXPECT_LE(span.end - span.start, span.text.size());
      EXPECT_GE(span.probability, 0);
      EXPECT_LE(span.probability, 1);
    }
    EXPECT_LE(answer.probability, 1);
  }
  EXPECT_THROW(extractor.ask(""), base::Error);
}

}  // namespace
}  // namespace malina::decide
