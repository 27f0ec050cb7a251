#include "decide/question.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::decide {
namespace {

std::string refusal_of(const std::string& json) {
  try {
    parse_question_file(json, "q.json");
  } catch (const base::Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Question, OneOrAListInOpenAisWire) {
  const auto questions = parse_question_file(R"([
    {"type": "predicate", "name": "urgent", "instructions": "The message is urgent."},
    {"type": "choice", "instructions": [{"type": "input_text", "text": "Which intent?"},
                                        {"type": "input_json", "data": {"a": [1]}}],
     "choices": [{"value": "a", "description": "first"}, {"value": true}, "c"],
     "multiple": true, "prior": "content_free", "normalization": "mean", "abstain_below": 0.4,
     "escalate_to": "large"},
    {"type": "score", "instructions": "How good?", "levels": [{"label": "low"}, "high"]},
    {"type": "extract", "instructions": "The city.", "most_spans": 3}])",
                                             "q.json");
  ASSERT_EQ(questions.size(), 4u);
  EXPECT_EQ(questions[0].type, QuestionType::predicate);
  EXPECT_EQ(questions[0].name, "urgent");
  EXPECT_EQ(questions[1].instructions, "Which intent?\n{\"a\":[1]}");
  ASSERT_EQ(questions[1].options.size(), 3u);
  EXPECT_EQ(questions[1].options[0].description, "first");
  EXPECT_TRUE(questions[1].options[1].boolean);
  EXPECT_EQ(questions[1].options[1].label, "true");
  EXPECT_TRUE(questions[1].multiple);
  EXPECT_TRUE(questions[1].subtract_prior);
  EXPECT_EQ(questions[1].normalisation, Normalisation::mean);
  EXPECT_EQ(questions[1].abstain_below, 0.4);
  EXPECT_EQ(questions[1].escalate_to, "large");
  EXPECT_EQ(questions[2].options[1].label, "high");
  EXPECT_EQ(questions[3].most_spans, 3u);
  EXPECT_EQ(parse_question_file(R"({"type": "predicate", "instructions": "x"})", "q").size(), 1u);
  EXPECT_EQ(
      parse_question_file(R"({"questions": [{"type": "predicate", "instructions": "x"}]})", "q")
          .size(),
      1u);
}

TEST(Question, ARefusalNamesThePlaceAndTheCause) {
  EXPECT_EQ(refusal_of("[]"), "q.json: the question has no question");
  EXPECT_EQ(refusal_of("3"), "q.json: the question must be a question or a list of questions");
  EXPECT_EQ(refusal_of(R"({"instructions": "x"})"), "q.json: type: is missing");
  EXPECT_EQ(refusal_of(R"({"type": "choise", "instructions": "x"})"),
            "q.json: type: must be one of predicate, choice, score, extract, not 'choise'; did you "
            "mean 'choice'?");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": " "})"),
            "q.json: instructions: is empty");
  EXPECT_EQ(refusal_of(R"([{"type": "choice", "instructions": "x", "choices": ["a"]}])"),
            "q.json: [0].choices: needs at least 2 entries and has 1");
  EXPECT_EQ(refusal_of(R"([{"type": "choice", "instructions": "x", "choices": ["a", "b", "a"]}])"),
            "q.json: [0].choices[2]: the label 'a' stands there twice");
  EXPECT_EQ(
      refusal_of(
          R"({"type": "choice", "instructions": "x", "choices": [{"value": "a"}, {"value": 3}]})"),
      "q.json: choices[1].value: must be a text");
  EXPECT_EQ(refusal_of(R"({"type": "choice", "instructions": "x", "choices": ["a", " b"]})"),
            "q.json: choices[1]: ' b' begins or ends with white space");
  EXPECT_EQ(refusal_of(R"({"type": "choice", "instructions": "x", "choices": ["a", "b\nc"]})"),
            "q.json: choices[1]: has more than one line: a label is what a model answers");
  EXPECT_EQ(refusal_of(R"({"type": "score", "instructions": "x", "choices": ["a", "b"]})"),
            "q.json: levels: is missing");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": "x", "multiple": true})"),
            "q.json: multiple: is for a choice only");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": "x", "abstain": 0.5})"),
            "q.json: the question has no member 'abstain'; did you mean 'abstain_below'?");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": "x", "abstain_below": 2})"),
            "q.json: abstain_below: must be a number from 0 to 1");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": "x", "escalate_to": "y"})"),
            "q.json: escalate_to: needs 'abstain_below': what is not answered is passed on");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": [{"type": "input_image"}]})"),
            "q.json: instructions[0]: is an image, and models here read text alone");
  EXPECT_EQ(refusal_of(R"({"type": "predicate", "instructions": [{"type": 5, "text": "x"}]})"),
            "q.json: instructions[0].type: must be a text");
  EXPECT_EQ(refusal_of(R"([{"type": "predicate", "instructions": "x", "name": "n"},
                           {"type": "predicate", "instructions": "y", "name": "n"}])"),
            "q.json: [1].name: two questions are named 'n'");
  EXPECT_EQ(refusal_of("{"), "q.json: it is not valid JSON, at byte 2");
  EXPECT_EQ(refusal_of("{\"type\": \"predicate\", \"instructions\": \"" + std::string(70000, 'x') +
                       "\"}"),
            "q.json: instructions: has 70000 bytes, more than 65536");
}

TEST(Question, SystemOnesQuestionsByName) {
  const auto questions = parse_systemone(Json::parse(R"({
    "intent": {"type": "choice", "instructions": "Which?", "criteria": {"a": "first", "b": null}},
    "level": {"type": "score", "instructions": "How?", "criteria": ["low", "high"]},
    "urgent": {"type": "noul", "instructions": "Urgent?", "criteria": {"true": "today"}}})"),
                                         "questions");
  ASSERT_EQ(questions.size(), 3u);
  EXPECT_EQ(questions[0].name, "intent");
  EXPECT_EQ(questions[0].options[0].description, "first");
  EXPECT_EQ(questions[1].type, QuestionType::score);
  EXPECT_EQ(questions[2].type, QuestionType::predicate);
  EXPECT_EQ(questions[2].instructions, "Urgent?\ntrue: today");
  try {
    parse_systemone(Json::parse(R"({"a": {"type": "choice", "instructions": "x"}})"), "questions");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "questions.a.criteria: is missing");
  }
}

TEST(Question, SystemOnesQuestionsArePassedOnByNameOrType) {
  const Json questions = Json::parse(R"({"urgent": {"type": "noul", "instructions": "x"},
    "mood": {"type": "score", "instructions": "How?", "criteria": ["low", "high"]}})");
  const auto ask = [&](const char* abstain, const char* target) {
    std::string targets;
    for (const Question& each :
         parse_systemone(questions, "questions", Json::parse(abstain), Json::parse(target)))
      targets += each.escalate_to + ";";
    return targets;
  };
  const auto refusal_of_target = [&](const char* abstain, const char* target) -> std::string {
    try {
      return "none: " + ask(abstain, target);
    } catch (const base::Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(ask("0.5", R"("large")"), "large;large;");
  EXPECT_EQ(ask("0.5", R"({"urgent": "large", "score": "larger"})"), "large;larger;");
  EXPECT_EQ(ask(R"({"noul": 0.5})", R"({"noul": "large", "score": null})"), "large;;");
  EXPECT_EQ(refusal_of_target("null", R"("large")"),
            "escalate_to: needs 'abstain' for 'urgent': what is not answered is passed on");
  EXPECT_EQ(refusal_of_target(R"({"urgent": 0.5})", R"({"mood": "large"})"),
            "escalate_to.mood: needs 'abstain' for 'mood': what is not answered is passed on");
  EXPECT_EQ(refusal_of_target("0.5", R"({"moot": "large"})"),
            "escalate_to: has 'moot', which is neither a question's name nor a type");
  EXPECT_EQ(refusal_of_target("0.5", R"("")"), "escalate_to: must be a text, and not empty");
  EXPECT_EQ(refusal_of_target("0.5", R"({"mood": 1})"),
            "escalate_to.mood: must be a text, and not empty");
}

TEST(Question, AThresholdForNobodyIsRefused) {
  const Json questions = Json::parse(R"({"urgent": {"type": "noul", "instructions": "x"}})");
  const auto ask = [&](const char* abstain) {
    return parse_systemone(questions, "questions", Json::parse(abstain))[0].abstain_below;
  };
  EXPECT_EQ(ask(R"({"urgent": 0.7})"), 0.7);
  EXPECT_EQ(ask(R"({"noul": 0.6, "choice": 0.9})"), 0.6);
  EXPECT_EQ(ask("0.5"), 0.5);
  try {
    ask(R"({"urgnt": 0.7})");
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "abstain: has 'urgnt', which is neither a question's name nor a type");
  }
}

}  // namespace
}  // namespace malina::decide
