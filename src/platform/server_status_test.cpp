#include "platform/server_status.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::platform {

namespace {

std::string metrics(int started, int prompt, int answer, int fast, int slow) {
  return fmt::format(R"(malina_build_info{{version="1.2"}} 1
process_start_time_seconds {}
malina_memory_budget_bytes 8e+09
malina_model_state{{model="b",digest="0a",state="ready"}} 1
malina_model_state{{model="a",digest="0b",state="loading"}} 1
malina_model_unload_seconds{{model="b",digest="0a"}} 12
malina_model_memory_bytes{{model="b",digest="0a"}} 1000
malina_running{{model="b",digest="0a"}} 3
malina_prompt_tokens_computed_total{{model="b",digest="0a"}} {}
malina_answer_tokens_total{{model="b",digest="0a"}} {}
malina_tokens_total{{key="mk_1",kind="prompt",model="b"}} 5
malina_tokens_total{{key="mk_2",kind="prompt",model="b"}} 50
malina_tokens_total{{key="mk_2",kind="completion",model="b"}} 7
malina_requests_total{{route="/v1/models",status="200"}} 4
malina_time_to_first_token_seconds_bucket{{model="b",le="1"}} {}
malina_time_to_first_token_seconds_bucket{{model="b",le="2"}} {}
malina_time_to_first_token_seconds_bucket{{model="b",le="+Inf"}} {}
malina_time_to_first_token_seconds_bucket{{model="c",le="1"}} 0
malina_time_to_first_token_seconds_bucket{{model="c",le="2"}} 1
malina_time_to_first_token_seconds_bucket{{model="c",le="+Inf"}} 1
something_new 1
)",
                     started, prompt, answer, fast, fast + slow, fast + slow);
}

TEST(ServerStatus, IsReadFromMetrics) {
  const ServerStatus status = parse_server_status(metrics(1000, 100, 20, 4, 0));
  EXPECT_EQ(status.version, "1.2");
  EXPECT_EQ(status.started_at, 1000);
  EXPECT_EQ(status.memory_budget_bytes, 8'000'000'000U);
  ASSERT_EQ(status.models.size(), 2U);
  EXPECT_EQ(status.models[0].name, "a");
  EXPECT_EQ(status.models[0].state, "loading");
  EXPECT_FALSE(status.models[0].unload_seconds);
  EXPECT_EQ(status.models[1].unload_seconds, 12U);
  EXPECT_EQ(status.models[1].running, 3U);
  EXPECT_EQ(status.models[1].prompt_tokens, 100U);
  ASSERT_EQ(status.usage.size(), 2U);
  EXPECT_EQ(status.usage[0].key, "mk_2") << "most tokens first";
  EXPECT_EQ(status.usage[0].answer_tokens, 7U);
  ASSERT_EQ(status.requests.size(), 1U);
  EXPECT_EQ(status.requests[0].count, 4U);
  EXPECT_EQ(status.latencies.first_token.count(), 5) << "of both models";
}

TEST(ServerStatus, AnotherProgramsMetricsAreRefused) {
  EXPECT_THROW(parse_server_status("go_goroutines 12\n"), base::Error);
  EXPECT_THROW(parse_server_status(""), base::Error);
}

TEST(ServerActivity, IsTheDifferenceOfCounters) {
  const auto before = parse_server_status(metrics(1000, 100, 20, 4, 0));
  const auto after = parse_server_status(metrics(1000, 150, 30, 4, 2));
  const ServerActivity between = activity(before, after, 2);
  EXPECT_DOUBLE_EQ(between.prompt_tokens, 25);
  EXPECT_DOUBLE_EQ(between.answer_tokens, 5);
  EXPECT_EQ(between.latencies.first_token.count(), 2);
  EXPECT_DOUBLE_EQ(*between.latencies.first_token.quantile(0.5), 1.5);
}

TEST(ServerActivity, WhatBeganAnewCountsFromItsBeginning) {
  const auto before = parse_server_status(metrics(1000, 100, 20, 4, 0));
  EXPECT_DOUBLE_EQ(
      activity(before, parse_server_status(metrics(1000, 10, 6, 4, 2)), 2).answer_tokens, 3)
      << "the model was loaded again";
  const auto restarted = parse_server_status(metrics(2000, 150, 30, 4, 2));
  EXPECT_DOUBLE_EQ(activity(before, restarted, 2).answer_tokens, 15);
  EXPECT_EQ(activity(before, restarted, 2).latencies.first_token.count(), 7);
  EXPECT_EQ(activity(before, restarted, 0).answer_tokens, 0);
}

TEST(ServerUrl, IsWhereThisMachineReachesTheServer) {
  const auto url = [](std::string host, bool tls = false) {
    ServerSettings settings;
    settings.host = std::move(host);
    if (tls) settings.tls_certificate = "x.pem";
    return server_url(settings).origin();
  };
  EXPECT_EQ(url("127.0.0.1"), "http://127.0.0.1:8080");
  EXPECT_EQ(url("0.0.0.0"), "http://127.0.0.1:8080");
  EXPECT_EQ(url("::", true), "https://[::1]:8080");
  EXPECT_EQ(url("10.1.2.3", true), "https://10.1.2.3:8080");
  ServerSettings any;
  any.port = 0;
  EXPECT_THROW(server_url(any), base::Error);
}

TEST(ApiGet, TheKeyLeavesTheMachineOnlyUnderTls) {
  try {
    api_get({.url = parse_url("http://192.0.2.1:8080"), .key = "mk_x.y", .key_source = "a test"},
            "/");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::invalid_argument);
  }
}

}  // namespace

}  // namespace malina::platform
