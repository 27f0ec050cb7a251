#include "decide/written_answer.h"

#include <gtest/gtest.h>

namespace malina::decide {
namespace {

Question choice(std::vector<std::string> labels) {
  Question question;
  question.type = QuestionType::choice;
  for (std::string& label : labels) question.options.push_back({std::move(label)});
  return question;
}

std::optional<std::size_t> best(const Question& question, std::string_view written) {
  const auto answer = read_written(question, "text", written, std::nullopt);
  return answer ? std::optional(answer->best) : std::nullopt;
}

TEST(WrittenAnswer, ALabelAndNothingElse) {
  const Question question = choice({"card", "card lost", "refund"});
  EXPECT_EQ(best(question, "card lost"), 1u);
  EXPECT_EQ(best(question, " \n card\r\n"), 0u);
  EXPECT_EQ(best(question, "Refund"), 2u);
  for (const char* wrong : {"", " ", "refunds", "refund.", "\"refund\"", "card\nlost", "the refund",
                            "card refund", "1"})
    EXPECT_FALSE(best(question, wrong)) << wrong;
}

TEST(WrittenAnswer, AnotherCaseOnlyWhereItLeavesNoDoubt) {
  const Question question = choice({"ID", "id", "Name"});
  EXPECT_EQ(best(question, "ID"), 0u);
  EXPECT_EQ(best(question, "id"), 1u);
  EXPECT_FALSE(best(question, "Id"));
  EXPECT_EQ(best(question, "NAME"), 2u);
}

TEST(WrittenAnswer, WhatIsNotKnownIsNull) {
  Question question;
  question.type = QuestionType::predicate;
  question.abstain_below = 0.5;
  const auto json = [&](std::string_view written, std::optional<double> at_least) {
    return to_json(question, read_written(question, "text", written, at_least).value());
  };
  Json no = json("No", 0.75);
  EXPECT_EQ(no["answer"], false);
  EXPECT_EQ(no["probability_at_least"], 0.75);
  for (const char* unknown : {"probability", "confidence", "label_mass"})
    EXPECT_TRUE(no.at(unknown).is_null()) << unknown;
  EXPECT_EQ(no["calibrated"], false);
  EXPECT_EQ(no["abstain"], false);
  EXPECT_EQ(json("yes", 0.25)["abstain"], true);
  Json unknown = json("yes", std::nullopt);
  EXPECT_EQ(unknown["answer"], true);
  EXPECT_EQ(unknown["abstain"], false);
  EXPECT_TRUE(unknown.at("probability_at_least").is_null());
}

TEST(WrittenAnswer, ALevelIsItsOwnScore) {
  Question question = choice({"low", "middle", "high"});
  question.type = QuestionType::score;
  const Json json = to_json(question, read_written(question, "x", "high", std::nullopt).value());
  EXPECT_EQ(json["score"], 2);
  EXPECT_EQ(json["level"], "high");
  EXPECT_TRUE(json.at("probabilities").is_null());
}

std::optional<std::vector<std::string>> spans(std::string_view text, std::string_view written,
                                              std::size_t most = 4) {
  Question question;
  question.type = QuestionType::extract;
  question.most_spans = most;
  const auto answer = read_written(question, text, written, std::nullopt);
  if (!answer) return std::nullopt;
  std::vector<std::string> found;
  for (const Span& span : answer->spans) {
    EXPECT_EQ(text.substr(span.start_byte, span.end_byte - span.start_byte), span.text);
    found.push_back(span.text);
  }
  return found;
}

TEST(WrittenAnswer, PiecesStandInTheText) {
  using Spans = std::vector<std::string>;
  const std::string text = "the red valve and the red seal of číslo 7";
  EXPECT_EQ(spans(text, "red valve\n číslo 7 \n"), (Spans{"red valve", "číslo 7"}));
  EXPECT_EQ(spans(text, "red\nred"), (Spans{"red", "red"}));
  EXPECT_EQ(spans(text, "none"), Spans{});
  EXPECT_EQ(spans("there is none", "none"), Spans{"none"});
  for (const char* wrong :
       {"", "blue valve", "red valv", "Red valve", "red valve, red seal", "none\nred", "red\nnone",
        "red\nred\nred", "red  valve", "- red valve", "none none"})
    EXPECT_FALSE(spans(text, wrong)) << wrong;
  EXPECT_FALSE(spans(text, "red valve\nred seal", 1));
}

TEST(WrittenAnswer, PlacesAreInCodePointsToo) {
  const std::string text = "č číslo";
  Question question;
  question.type = QuestionType::extract;
  const auto answer = read_written(question, text, "číslo", std::nullopt);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->spans.at(0).start, 2u);
  EXPECT_EQ(answer->spans.at(0).end, 7u);
  EXPECT_EQ(answer->spans.at(0).start_byte, 3u);
}

}  // namespace
}  // namespace malina::decide
