// GET /v1/models: the models and aliases that a key may use.
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/model_json.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto all = co_await exchange.elsewhere([&] { return service.models(exchange.caller()); });
  Json data = Json::array();
  for (const platform::ListedModel& model : all) data.push_back(model_json(model));
  const Json reply{{"object", "list"}, {"data", std::move(data)}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint models{
    .method = Method::get,
    .path = "/v1/models",
    .needs = Permission::infer,
    .summary = "The models and aliases that this key may use",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["object", "data"], "properties": {
      "object": {"const": "list"},
      "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}})",
    .answer = answer};

}  // namespace malina::serve
