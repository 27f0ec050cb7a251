#include "serve/api_error.h"

#include <new>

#include "base/error.h"
#include "platform/full_disk.h"
#include "platform/repetition.h"

namespace malina::serve {

using base::Fault;

nlohmann::ordered_json ApiError::body() const {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  return {
      {"error",
       {{"message", message}, {"type", type}, {"param", or_null(param)}, {"code", or_null(code)}}}};
}

ApiError bad_request(std::string message, std::string param, std::string code) {
  return {.status = 400,
          .type = "invalid_request_error",
          .code = std::move(code),
          .param = std::move(param),
          .message = std::move(message)};
}

ApiError bad_name(std::string message, std::string_view name, std::string code) {
  constexpr std::size_t kShown = 100;  // bytes
  ApiError error =
      bad_request(std::move(message), std::string(name.substr(0, kShown)), std::move(code));
  error.clients_word = true;
  return error;
}

std::string_view outcome_word(const ApiError& error) {
  switch (error.status) {
    case 400:
      return "refused";
    case 401:
      return "revoked";
    case 408:
      return "timeout";
    case 503:
      return error.code == "draining" ? "cut off" : "overloaded";
    default:
      return "failed";
  }
}

ApiError draining() {
  return {.status = 503,
          .type = "overloaded_error",
          .code = "draining",
          .message = "the server is stopping",
          .retry_after = std::chrono::seconds(5),
          .close = true};
}

namespace {

struct Row {
  Fault fault;
  unsigned status;
  const char* type;
  const char* code;
};

// reference: trust.md section 5.
constexpr Row kRows[] = {
    {Fault::invalid_argument, 400, "invalid_request_error", ""},
    {Fault::unsupported, 400, "invalid_request_error", "unsupported"},
    {Fault::unauthenticated, 401, "authentication_error", "invalid_api_key"},
    {Fault::denied, 403, "permission_error", ""},
    {Fault::not_found, 404, "not_found_error", "model_not_found"},
    {Fault::already_exists, 409, "conflict_error", ""},
    {Fault::exhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
    {Fault::overloaded, 503, "overloaded_error", "overloaded"},
};

}  // namespace

ApiError api_error(const std::exception_ptr& error, const std::string& request_id) {
  ApiError result;
  result.message =
      "the server failed on this request; its log has the cause under request id " + request_id;
  try {
    std::rethrow_exception(error);
  } catch (const ApiError& known) {
    return known;
  } catch (const base::Error& failure) {
    for (const Row& row : kRows) {
      if (row.fault != failure.fault()) continue;
      result.status = row.status;
      result.type = row.type;
      result.code = failure.details().code.empty() ? row.code : failure.details().code;
      result.param = failure.details().parameter;
      result.message = failure.what();
      result.retry_after = failure.details().retry_after;
      result.cause = failure.details().cause;
      result.retry_helps = failure.details().retry_helps;
      if (result.code == platform::kRepetitionReused) {
        result.status = 422;
        result.type = "unprocessable_error";
      }
      if (row.status == 409) result.retry_helps = false;
      if (result.code == "insufficient_quota") result.retry_helps = false;
      if (row.status >= 429 && !result.retry_after) result.retry_after = std::chrono::seconds(1);
      return result;
    }
    if (platform::says_disk_full(failure)) {
      result.status = 503;
      result.type = "overloaded_error";
      result.code = "disk_full";
      result.message = "the disk is full: try again when there is room";
      result.cause = failure.what();
      result.retry_after = std::chrono::seconds(10);
      return result;
    }
    if (failure.fault() == Fault::out_of_memory) {
      result.status = 503;
      result.type = "overloaded_error";
      result.code = "out_of_memory";
      result.message = failure.what();
      result.retry_helps = failure.details().retry_helps;
      if (result.retry_helps) result.retry_after = std::chrono::seconds(30);
    }
  } catch (...) {  // a defect: said in the log alone
  }
  return result;
}

}  // namespace malina::serve
