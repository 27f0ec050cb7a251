// GET /v1/models/{model}: one of them.
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/model_json.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto found = co_await exchange.elsewhere(
      [&] { return service.model(exchange.caller(), exchange.parameter()); });
  co_await exchange.reply(model_json(found));
}

}  // namespace

extern const Endpoint model{.method = Method::get,
                            .path = "/v1/models/{model}",
                            .needs = Permission::infer,
                            .summary = "One model or alias",
                            .tag = "openai",
                            .answer_schema = R"({"$ref": "#/components/schemas/Model"})",
                            .answer = answer};

}  // namespace malina::serve
