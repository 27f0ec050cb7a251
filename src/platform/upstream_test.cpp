#include "platform/upstream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "platform/model_name.h"

namespace malina::platform {
namespace {

std::string_view without_end(const std::string& line) {
  EXPECT_TRUE(line.ends_with('\n'));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  return std::string_view(line).substr(0, line.size() - 1);
}

TEST(Upstream, NoModelIsCalledSo) {
  EXPECT_EQ(upstream_of("upstream/big"), "big");
  EXPECT_FALSE(upstream_of("upstream:big"));
  EXPECT_FALSE(upstream_of("big"));
  EXPECT_FALSE(name_fault("upstream/big").empty());
}

TEST(Upstream, NamesAreWords) {
  for (const char* good : {"a", "big", "gpt-4.1_mini", "0"})
    EXPECT_EQ(upstream_name_fault(good), "") << good;
  for (const char* bad : {"", "Big", "-a", "a/b", "a b", "https://x", "č", "*"})
    EXPECT_NE(upstream_name_fault(bad), "") << bad;
  EXPECT_NE(upstream_name_fault(std::string(65, 'a')), "");
}

TEST(UpstreamLine, AQuestionIsReadBack) {
  const UpstreamQuestion question{"big", "line\nend \"quotes\" číslo \x01", 12};
  const std::string line = line_of(question);
  const UpstreamQuestion read = read_question_line(without_end(line));
  EXPECT_EQ(read.upstream, question.upstream);
  EXPECT_EQ(read.message, question.message);
  EXPECT_EQ(read.most_tokens, 12u);
}

TEST(UpstreamLine, AnAnswerIsReadBack) {
  UpstreamReply reply{.status = 200};
  reply.answer = {.text = "a\nb", .whole = true, .probability = 0.25, .prompt_tokens = 7,
                  .completion_tokens = 2};
  const UpstreamReply read = read_reply_line(without_end(line_of(reply)));
  EXPECT_EQ(read.fault, UpstreamFault::none);
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.answer.text, "a\nb");
  EXPECT_TRUE(read.answer.whole);
  EXPECT_EQ(read.answer.probability, 0.25);
  EXPECT_EQ(read.answer.prompt_tokens, 7);
  EXPECT_EQ(read.answer.completion_tokens, 2);
  reply.answer.probability.reset();
  EXPECT_FALSE(read_reply_line(without_end(line_of(reply))).answer.probability);
  for (const auto fault : {UpstreamFault::timeout, UpstreamFault::no_label}) {
    const std::string line = line_of(UpstreamReply{.fault = fault, .status = 503});
    EXPECT_EQ(read_reply_line(without_end(line)).fault, fault);
  }
}

template <class Read>
void expect_refused(Read read, std::string_view text) {
  try {
    read(text);
    ADD_FAILURE() << "taken: " << text;
  } catch (const base::Error&) {
  }
}

TEST(UpstreamLine, WhatIsNoQuestionIsRefused) {
  for (const char* text :
       {"", "x", "[]", "{}", R"({"upstream": "big", "message": "x"})",
        R"({"upstream": "big", "message": "x", "most_tokens": 0})",
        R"({"upstream": "big", "message": "x", "most_tokens": -1})",
        R"({"upstream": "big", "message": "x", "most_tokens": 4097})",
        R"({"upstream": "big", "message": "x", "most_tokens": 1e99})",
        R"({"upstream": "big", "message": 1, "most_tokens": 1})",
        R"({"upstream": "https://a.example/", "message": "x", "most_tokens": 1})",
        R"({"upstream": "big", "message": "x", "most_tokens": 1, "url": "http://10.0.0.1/"})",
        R"({"upstream": "big", "upstream": "b", "message": "x", "most_tokens": 1})",
        "{\"upstream\": \"big\", \"message\": \"\xff\", \"most_tokens\": 1}"})
    expect_refused(read_question_line, text);
}

TEST(UpstreamLine, WhatIsNoAnswerIsRefused) {
  for (const char* text :
       {"", "null", "{}", R"({"fault": "none", "status": 200})",
        R"({"fault": "hungry", "status": 0})", R"({"fault": "timeout"})",
        R"({"fault": "timeout", "status": 1000})",
        R"({"fault": "none", "status": 200, "text": "a", "whole": 1, "prompt_tokens": 1, "completion_tokens": 1})",
        R"({"fault": "none", "status": 200, "text": "a", "whole": true, "probability": 1.5, "prompt_tokens": 1, "completion_tokens": 1})",
        R"({"fault": "none", "status": 200, "text": "a", "whole": true, "prompt_tokens": 1, "completion_tokens": 1e12})"})
    expect_refused(read_reply_line, text);
}

TEST(Chat, TheRequestHasNoRandomness) {
  const auto json = nlohmann::json::parse(chat_request({"big", "what?", 9}, "large", true));
  EXPECT_EQ(json, nlohmann::json::parse(R"({"model": "large", "temperature": 0, "max_tokens": 9,
      "logprobs": true, "messages": [{"role": "user", "content": "what?"}]})"));
  EXPECT_FALSE(nlohmann::json::parse(chat_request({"b", "x", 1}, "m", false)).contains("logprobs"));
}

std::string chat(const std::string& content, const std::string& more = "",
                 const std::string& reason = "\"stop\"") {
  return R"({"choices": [{"message": {"role": "assistant", "content": ")" + content +
         R"("}, "finish_reason": )" + reason + more + "}]}";
}

TEST(Chat, AnAnswerIsItsFirstChoice) {
  const UpstreamAnswer answer = read_chat_answer(
      R"({"id": "x", "choices": [{"message": {"content": "card"}, "finish_reason": "stop",
      "logprobs": null}], "usage": {"prompt_tokens": 30, "completion_tokens": 2}})");
  EXPECT_EQ(answer.text, "card");
  EXPECT_TRUE(answer.whole);
  EXPECT_FALSE(answer.probability);
  EXPECT_EQ(answer.prompt_tokens, 30);
  EXPECT_EQ(answer.completion_tokens, 2);
  EXPECT_FALSE(read_chat_answer(chat("card", "", "\"length\"")).whole);
  EXPECT_FALSE(read_chat_answer(chat("card", "", "null")).whole);
  EXPECT_EQ(read_chat_answer(chat("card")).prompt_tokens, 0);
}

TEST(Chat, ItsProbabilityIsTheProductOfItsTokens) {
  const auto probability = [](const std::string& tokens) {
    return read_chat_answer(chat("card", R"(, "logprobs": {"content": )" + tokens + "}")).probability;
  };
  const auto product = probability(R"([{"token": "ca", "logprob": -0.5}, {"token": "rd", "logprob": -0.25}])");
  ASSERT_TRUE(product);
  EXPECT_DOUBLE_EQ(*product, std::exp(-0.75));
  EXPECT_EQ(probability(R"([{"token": "card", "logprob": 0.001}])"), 1);  // rounding
  EXPECT_TRUE(probability(R"([{"token": "card", "logprob": -1}, {"token": "<end>", "logprob": -1}])"));
  for (const char* strange :
       {"null", "[]", "{}", R"([{"token": "ca", "logprob": -0.5}])", R"([{"token": "card"}])",
        R"([{"token": "card", "logprob": "x"}])", R"([{"token": 1, "logprob": -1}])", "[1]",
        R"([{"token": "other", "logprob": -1}])"})
    EXPECT_FALSE(probability(strange)) << strange;
}

TEST(Chat, WhatIsNoAnswerIsRefused) {
  for (const char* text :
       {"", "<html>", "[]", "{}", R"({"choices": []})", R"({"choices": [1]})",
        R"({"choices": [{"message": 1}]})", R"({"choices": [{"message": {"content": null}}]})",
        R"({"choices": {"0": 1}})", R"({"error": {"message": "no"}})"})
    expect_refused(read_chat_answer, text);
  expect_refused(read_chat_answer, std::string(1000, '['));
}

TEST(Chat, CountsThatCannotBeAreNoCounts) {
  for (const char* usage : {"-1", "1.5", "\"9\"", "null", "[]"}) {
    const auto answer = read_chat_answer(
        R"({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": )" +
        std::string(usage) + "}}");
    EXPECT_EQ(answer.prompt_tokens, 0) << usage;
  }
  EXPECT_EQ(read_chat_answer(R"({"choices": [{"message": {"content": "x"}}], "usage":
      {"prompt_tokens": 18446744073709551615}})")
                .prompt_tokens,
            1'000'000'000);
}

}  // namespace
}  // namespace malina::platform
