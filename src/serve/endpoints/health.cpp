// GET /health: may work be sent here? For load balancers; says no more than that.
#include "platform/service.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  if (!service.read_only_because().empty())
    throw ApiError{.status = 503,
                   .type = "overloaded_error",
                   .code = "read_only",
                   .message = "the server cannot record what it does, so it does nothing",
                   .retry_after = std::chrono::seconds(10)};
  const Json reply{{"status", "ok"}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint health{.method = Method::get,
                             .path = "/health",
                             .open_to_all = true,
                             .summary = "Whether the server takes work",
                             .answer_schema = R"({"type": "object", "required": ["status"],
      "properties": {"status": {"const": "ok"}}})",
                             .answer = answer};

}  // namespace malina::serve
