// GET /api/version.
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service&) {
  const Json reply{{"version", MALINA_VERSION}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint ollama_version{.method = Method::get,
                                     .path = "/api/version",
                                     .needs = Permission::infer,
                                     .summary = "The version of this program",
                                     .tag = "ollama",
                                     .answer_schema = R"({"type": "object", "required": ["version"],
      "properties": {"version": {"type": "string"}}})",
                                     .answer = answer};

}  // namespace malina::serve
