// POST /api/embeddings: Ollama's older route, one text and a vector that is not normalised.
#include <array>

#include "platform/language_model.h"
#include "serve/embedding.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "prompt", .types = Type::text, .required = true, .shortest = 1},
    Field{.name = "options", .types = Type::object, .fields = ollama_options()},
    Field{.name = "keep_alive", .types = Type::text | Type::number},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  std::vector<platform::EmbeddingRequest> requests(1);
  Json prompt = exchange.take("prompt");
  requests[0].text = std::move(prompt.get_ref<std::string&>());
  const auto keep = keep_alive(body);
  auto lease = co_await ready_model(exchange, service, ollama_model(body));
  if (keep) service.pool().keep(lease, *keep);
  Answering answering(exchange, service, std::move(lease));
  co_await answering.start(std::move(requests), "embedding");
  co_await answering.finish();
  co_await exchange.reply_made([&] {
    Json reply = Json::object();
    reply["embedding"] = embeddings_of(answering, false).vectors[0];
    return reply;
  });
}

}  // namespace

extern const Endpoint ollama_embeddings{
    .method = Method::post,
    .path = "/api/embeddings",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "One text as a vector",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["embedding"], "properties": {
      "embedding": {"type": "array", "items": {"type": "number"}}}})",
    .answer = answer};

}  // namespace malina::serve
