#include "platform/log_probabilities_json.h"

#include <gtest/gtest.h>

#include <limits>

namespace malina::platform {
namespace {

const std::vector<ScoredToken> kScores{
    {.id = 1, .text = "a", .log_probability = std::nullopt, .top = {}, .text_offset = 0},
    {.id = 2,
     .text = "bytes:\\xe2\\x82",
     .log_probability = -std::numeric_limits<double>::infinity(),
     .top = {{"b", -0.5}, {"b", -1.5}},
     .text_offset = 1}};

TEST(LogProbabilitiesJson, OfACompletion) {
  EXPECT_EQ(completion_log_probabilities(kScores).dump(),
            R"({"tokens":["a","bytes:\\xe2\\x82"],"token_logprobs":[null,-9999.0],)"
            R"("top_logprobs":[null,{"b":-0.5}],"text_offset":[0,1]})");
}

TEST(LogProbabilitiesJson, OfAChat) {
  const auto json = chat_log_probabilities(kScores, 1);
  EXPECT_EQ(json["content"][1]["bytes"].dump(), "[226,130]");
  EXPECT_EQ(json["content"][1]["logprob"], -9999.0);
  EXPECT_EQ(json["content"][1]["top_logprobs"].dump(),
            R"([{"token":"b","logprob":-0.5,"bytes":[98]}])");
}

}  // namespace
}  // namespace malina::platform
