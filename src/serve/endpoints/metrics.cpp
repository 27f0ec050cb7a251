// GET /metrics: for Prometheus.
#include "serve/metrics.h"

#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  std::string text = exchange.metrics().text(service.pool());
  co_await exchange.reply(200, "text/plain; version=0.0.4; charset=utf-8", std::move(text));
}

}  // namespace

extern const Endpoint metrics{.method = Method::get,
                              .path = "/metrics",
                              .needs = Permission::audit,
                              .summary = "What the server counts, in Prometheus' format",
                              .answer_type = "text/plain",
                              .answer_schema = R"({"type": "string"})",
                              .answer = answer};

}  // namespace malina::serve
