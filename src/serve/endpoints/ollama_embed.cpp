// POST /api/embed: Ollama's embeddings, of length 1.
#include <array>

#include "platform/language_model.h"
#include "serve/embedding.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "input", .types = Type::text | Type::array, .required = true, .shortest = 1},
    Field{.name = "truncate",
          .types = Type::boolean,
          .use = Use::inert,
          .help = "Nothing is ever cut: what is too long is an error"},
    Field{.name = "options", .types = Type::object, .fields = ollama_options()},
    Field{.name = "keep_alive", .types = Type::text | Type::number},
    Field{.name = "dimensions", .use = Use::refused},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  const auto began = std::chrono::steady_clock::now();
  std::vector<platform::EmbeddingRequest> requests =
      co_await exchange.beside([&] { return embedding_inputs(exchange.take("input")); });
  const auto keep = keep_alive(body);
  auto lease = co_await ready_model(exchange, service, ollama_model(body));
  if (keep) service.pool().keep(lease, *keep);
  const auto loaded = std::chrono::steady_clock::now();
  Answering answering(exchange, service, std::move(lease));
  co_await answering.start(std::move(requests), "embedding");
  co_await answering.finish();
  co_await exchange.reply_made([&] {
    const Embeddings embeddings = embeddings_of(answering, true);
    Json reply{{"model", body["model"]}, {"embeddings", embeddings.vectors}};
    reply["total_duration"] = (std::chrono::steady_clock::now() - began).count();
    reply["load_duration"] = (loaded - began).count();
    reply["prompt_eval_count"] = embeddings.prompt_tokens;
    return reply;
  });
}

}  // namespace

extern const Endpoint ollama_embed{
    .method = Method::post,
    .path = "/api/embed",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "Texts as vectors of length 1: the mean of the last hidden states",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["model", "embeddings"], "properties": {
      "embeddings": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}}})",
    .answer = answer};

}  // namespace malina::serve
