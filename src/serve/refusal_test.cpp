#include "serve/refusal.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.h"

namespace malina::serve {

namespace {

std::string logged(const ApiError& error) {
  return log_text(error, std::make_exception_ptr(error));
}

TEST(Refusal, LogHasThePlaceThatOurTablesName) {
  EXPECT_EQ(logged(bad_request("'top_p' is wrong", "top_p", "invalid_value")),
            "invalid_value in 'top_p'");
  EXPECT_EQ(logged(bad_request("'input' is empty", "input")), "invalid_request_error in 'input'");
}

TEST(Refusal, LogHasAPlaceDownToTheFirstNameOfTheClients) {
  EXPECT_EQ(logged(bad_request("wrong", "metadata.secret", "invalid_value")),
            "invalid_value in 'metadata'");
  EXPECT_EQ(logged(bad_request("wrong", "messages[0].secret", "invalid_value")),
            "invalid_value in 'messages'");
}

TEST(Refusal, LogDoesNotRepeatAClientsWord) {
  EXPECT_EQ(logged(bad_name("there is no field 'secret'", "secret", "unknown_parameter")),
            "unknown_parameter");
  EXPECT_EQ(logged(bad_name("a field is too long", "secret", "invalid_value")), "invalid_value");
}

TEST(Refusal, ClientReadsItsOwnWordShortened) {
  const ApiError error = bad_name("wrong", std::string(300, 'x'), "unknown_parameter");
  EXPECT_EQ(error.body()["error"]["param"], std::string(100, 'x'));
}

TEST(Refusal, LogHasTheCauseOfADefectAndTheClientHasNot) {
  const auto cause = std::make_exception_ptr(std::runtime_error("the defect"));
  const ApiError error = api_error(cause, "req_1");
  EXPECT_EQ(error.status, 500U);
  EXPECT_EQ(log_text(error, cause), "the defect");
  EXPECT_EQ(error_body(error, ErrorForm::openai).find("the defect"), std::string::npos);
}

TEST(Refusal, LogHasWhatOnlyTheOperatorReads) {
  const auto cause = std::make_exception_ptr(
      base::Error(base::Fault::overloaded, "busy", {.cause = "the connector is gone"}));
  EXPECT_EQ(log_text(api_error(cause, "req_1"), cause), "busy: the connector is gone");
}

TEST(Refusal, OllamasRoutesSpeakAsOllamaDoes) {
  const ApiError error = bad_request("wrong", "input", "invalid_value");
  EXPECT_EQ(error_body(error, error_form("/api/chat")), R"({"error":"wrong"})");
  EXPECT_EQ(error_event(error, error_form("/api/chat")), "{\"error\":\"wrong\"}\n");
  EXPECT_EQ(error_event(error, error_form("/v1/completions")),
            "data: " + error.body().dump() + "\n\n");
}

TEST(Refusal, HeaderSaysWhetherItMayGoBetter) {
  ApiError error{.status = 503, .retry_after = std::chrono::seconds(7)};
  using Fields = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(error_fields(error), (Fields{{"retry-after", "7"}}));
  error.retry_after.reset();
  error.retry_helps = false;
  EXPECT_EQ(error_fields(error), (Fields{{"x-should-retry", "false"}}));
  EXPECT_EQ(error_fields({.status = 405, .allow = "GET, HEAD"}), (Fields{{"allow", "GET, HEAD"}}));
  EXPECT_EQ(error_fields({.status = 401}), (Fields{{"www-authenticate", "Bearer"}}));
}

}  // namespace

}  // namespace malina::serve
