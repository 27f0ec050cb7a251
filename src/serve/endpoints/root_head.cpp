// HEAD /: what clients of Ollama look for before they begin.
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service&) {
  co_await exchange.reply(200, "text/plain; charset=utf-8", "malina is running");
}

}  // namespace

extern const Endpoint root_head{.method = Method::head,
                                .path = "/",
                                .open_to_all = true,
                                .summary = "Whether there is a server",
                                .tag = "ollama",
                                .answer_type = "text/plain",
                                .answer_schema = R"({"type": "string"})",
                                .answer = answer};

}  // namespace malina::serve
