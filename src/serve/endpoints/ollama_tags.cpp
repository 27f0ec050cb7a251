// GET /api/tags: the models and aliases that a key may use.
#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto all = co_await exchange.elsewhere([&] { return service.models(exchange.caller()); });
  Json models = Json::array();
  for (const platform::ListedModel& model : all) {
    if (!model.kind.empty()) continue;  // these clients would chat with it
    models.push_back({{"name", ollama_name(model.name)},
                      {"model", ollama_name(model.name)},
                      {"modified_at", ollama_time(model.created * 1'000'000)},
                      {"size", model.size_bytes},
                      {"digest", model.digest.substr(model.digest.find(':') + 1)},
                      {"details", ollama_details(model)}});
  }
  const Json reply{{"models", std::move(models)}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint ollama_tags{
    .method = Method::get,
    .path = "/api/tags",
    .needs = Permission::infer,
    .summary = "The models that this key may use",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["models"], "properties": {
      "models": {"type": "array", "items": {"type": "object", "required": ["name", "digest"]}}}})",
    .answer = answer};

}  // namespace malina::serve
