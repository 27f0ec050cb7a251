// POST /api/chat: Ollama's conversation.
#include <array>

#include "platform/language_model.h"
#include "serve/api_error.h"
#include "serve/chat_messages.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"
#include "serve/ollama_stream.h"

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 3> kRoles{"system", "user", "assistant"};
constexpr std::array kMessage{
    Field{.name = "role", .types = Type::text, .required = true, .words = kRoles},
    Field{.name = "content", .types = Type::text, .required = true},
    Field{.name = "images", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "tool_calls", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "thinking", .types = Type::text, .use = Use::inert},
};

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "messages",
          .types = Type::array,
          .longest = 4096,
          .item_types = Type::object,
          .fields = kMessage,
          .help = "None: the model is loaded, or with keep_alive 0 given up"},
    Field{.name = "stream", .types = Type::boolean, .help = "true where it is not given"},
    Field{.name = "options", .types = Type::object, .fields = ollama_options()},
    Field{.name = "keep_alive", .types = Type::text | Type::number},
    Field{.name = "tools", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "format", .types = Type::text, .words = kOllamaFormats},
    Field{.name = "think", .use = Use::refused, .neutral = "[false]"},
    Field{.name = "logprobs", .use = Use::refused, .neutral = "[false]"},
    Field{.name = "top_logprobs", .use = Use::refused, .neutral = "[0]"},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  const auto began = std::chrono::steady_clock::now();
  const std::string model = ollama_model(body);
  const auto keep = keep_alive(body);
  platform::ChatRequest request;
  request.messages = co_await exchange.beside([&] {
    Json messages = exchange.take("messages");
    return messages.is_null() ? Json::array() : template_messages(std::move(messages));
  });
  request.sampling = ollama_sampling(body);
  request.stop = ollama_stops(body);
  request.json = ollama_json(body);
  request.max_tokens = ollama_max_tokens(body);
  auto lease = co_await ready_model(exchange, service, model);
  if (keep) service.pool().keep(lease, *keep);
  if (request.messages.empty()) {
    const bool unload = keep && keep->count() == 0;
    const Json reply{{"model", model},
                     {"created_at", ollama_now()},
                     {"message", {{"role", "assistant"}, {"content", ""}}},
                     {"done", true},
                     {"done_reason", unload ? "unload" : "load"}};
    co_await exchange.reply(reply);
    co_return;
  }
  const auto loaded = std::chrono::steady_clock::now();
  Answering answering(exchange, service, std::move(lease));
  std::vector<platform::ChatRequest> requests{std::move(request)};
  co_await answering.start(std::move(requests), "chat");
  OllamaShape shape;
  shape.stream = body.value("stream", true);
  shape.piece = [](std::string text) {
    return Json{{"message", {{"role", "assistant"}, {"content", std::move(text)}}}};
  };
  co_await ollama_answer(exchange, answering, model, std::move(shape), began, loaded);
}

}  // namespace

extern const Endpoint ollama_chat{
    .method = Method::post,
    .path = "/api/chat",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "The next message of a conversation",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["model", "created_at", "message", "done"],
      "properties": {"model": {"type": "string"}, "created_at": {"type": "string"},
        "done": {"type": "boolean"}, "message": {"type": "object",
          "required": ["role", "content"]}}})",
    .stream_type = "application/x-ndjson",
    .answer = answer};

}  // namespace malina::serve
