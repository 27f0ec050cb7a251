// GET /api/ps: the models in memory that a key may use.
#include <algorithm>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

// What it was first asked as, or another name of its own that the caller may use; "" where there is
// none.
std::string name_for(const platform::Caller& caller, const platform::PooledModel& model,
                     const std::vector<platform::ListedModel>& listed) {
  if (caller.may_use(model.label)) return model.label;
  const auto found = std::ranges::find(listed, model.digest.text(), &platform::ListedModel::digest);
  return found == listed.end() ? "" : found->name;
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  Json models = Json::array();
  const std::vector<platform::ListedModel> listed =
      co_await exchange.elsewhere([&] { return service.models(exchange.caller()); });
  const std::int64_t now = base::unix_time_microseconds();
  for (const platform::PooledModel& model : service.pool().models()) {
    const std::string name = name_for(exchange.caller(), model, listed);
    if (name.empty()) continue;
    // A model in use, or one that stays for good, has no end; Ollama gives a far one.
    const std::int64_t left = model.expires_in ? model.expires_in->count() : 100LL * 365 * 86400;
    models.push_back({{"name", ollama_name(name)},
                      {"model", ollama_name(name)},
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
