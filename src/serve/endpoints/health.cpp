// GET /health: may work be sent here? For load balancers; says no more than that.
#include "platform/service.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  co_await exchange.elsewhere([&] { service.check_recording(); });
  const Json reply{{"status", "ok"}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint health{.method = Method::get,
                             .path = "/health",
                             .open_to_all = true,
                             .works = true,
                             .summary = "Whether the server takes work",
                             .answer_schema = R"({"type": "object", "required": ["status"],
      "properties": {"status": {"const": "ok"}}})",
                             .answer = answer};

}  // namespace malina::serve
