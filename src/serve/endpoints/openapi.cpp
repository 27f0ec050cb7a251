// GET /openapi.json: this interface, for programs.
#include "serve/openapi.h"

#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service&) {
  co_await exchange.reply(openapi_document());
}

}  // namespace

extern const Endpoint openapi{.method = Method::get,
                              .path = "/openapi.json",
                              .needs = Permission::infer,
                              .summary = "This interface as an OpenAPI document",
                              .answer_schema = R"({"type": "object"})",
                              .answer = answer};

}  // namespace malina::serve
