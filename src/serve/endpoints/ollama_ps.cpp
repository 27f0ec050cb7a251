// GET /api/ps: the models in memory that a key may use.
#include "base/clock.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  Json models = Json::array();
  const std::int64_t now = base::unix_time_microseconds();
  for (const platform::PooledModel& model : service.pool().models()) {
    if (!exchange.caller().may_use(model.label)) continue;
    // A model in use, or one that stays for good, has no end; Ollama gives a far one.
    const std::int64_t left = model.expires_in ? model.expires_in->count() : 100LL * 365 * 86400;
    models.push_back({{"name", ollama_name(model.label)},
                      {"model", ollama_name(model.label)},
                      {"size", model.memory_bytes},
                      {"size_vram", 0},
                      {"digest", model.digest.hex()},
                      {"context_length", model.context},
                      {"details", Json::object()},
                      {"expires_at", ollama_time(now + left * 1'000'000)}});
  }
  const Json reply{{"models", std::move(models)}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint ollama_ps{
    .method = Method::get,
    .path = "/api/ps",
    .needs = Permission::infer,
    .summary = "The models in memory",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["models"], "properties": {
      "models": {"type": "array", "items": {"type": "object", "required": ["name", "size"]}}}})",
    .answer = answer};

}  // namespace malina::serve
