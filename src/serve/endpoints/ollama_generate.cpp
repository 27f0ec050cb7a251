// POST /api/generate: Ollama's single prompt, by the model's template unless raw.
#include <array>

#include "platform/language_model.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"
#include "serve/ollama.h"
#include "serve/ollama_stream.h"

namespace malina::serve {

namespace {

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "prompt",
          .types = Type::text,
          .help = "None: the model is loaded, or with keep_alive 0 given up"},
    Field{.name = "suffix",
          .types = Type::text,
          .help = "What stands after the text to be filled in"},
    Field{.name = "system", .types = Type::text},
    Field{.name = "stream", .types = Type::boolean, .help = "true where it is not given"},
    Field{.name = "raw", .types = Type::boolean, .help = "The prompt as it is, without a template"},
    Field{.name = "options", .types = Type::object, .fields = ollama_options()},
    Field{.name = "keep_alive", .types = Type::text | Type::number},
    Field{.name = "template", .use = Use::refused, .neutral = "[\"\"]"},
    Field{.name = "context", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "images", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "format", .types = Type::text, .words = kOllamaFormats},
    Field{.name = "think", .use = Use::refused, .neutral = "[false]"},
    Field{.name = "logprobs", .use = Use::refused, .neutral = "[false]"},
    Field{.name = "top_logprobs", .use = Use::refused, .neutral = "[0]"},
};

asio::awaitable<void> start(Answering& answering, Exchange& exchange) {
  const Json& body = exchange.body();
  Json prompt = exchange.take("prompt");
  if (body.value("raw", false) || body.contains("suffix") ||
      !answering.model().has_chat_template()) {
    if (body.contains("system"))
      throw bad_request("'system' needs a template: it goes with neither 'raw' nor 'suffix'",
                        "system", "invalid_value");
    platform::CompletionRequest request;
    request.text = std::move(prompt.get_ref<std::string&>());
    request.special = body.value("raw", false);  // a raw prompt writes its own special tokens
    if (body.contains("suffix")) request.suffix = body["suffix"].get<std::string>();
    request.sampling = ollama_sampling(body);
    request.stop = ollama_stops(body);
    request.json = ollama_json(body);
    request.max_tokens_if_room = true;
    request.max_tokens = ollama_max_tokens(body).value_or(answering.model().context());
    std::vector<platform::CompletionRequest> requests{std::move(request)};
    co_await answering.start(std::move(requests), "completion");
    co_return;
  }
  platform::ChatRequest request;
  request.messages = Json::array();
  if (body.contains("system"))
    request.messages.push_back({{"role", "system"}, {"content", body["system"]}});
  request.messages.push_back({{"role", "user"}});
  request.messages.back()["content"] = std::move(prompt);
  request.sampling = ollama_sampling(body);
  request.stop = ollama_stops(body);
  request.json = ollama_json(body);
  request.max_tokens = ollama_max_tokens(body);
  std::vector<platform::ChatRequest> requests{std::move(request)};
  co_await answering.start(std::move(requests), "chat");
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  const auto began = std::chrono::steady_clock::now();
  const std::string model = ollama_model(body);
  const auto keep = keep_alive(body);
  auto lease = co_await ready_model(exchange, service, model);
  if (keep) service.pool().keep(lease, *keep);
  const auto prompt = body.find("prompt");
  if (prompt == body.end() || prompt->get_ref<const std::string&>().empty()) {
    const bool unload = keep && keep->count() == 0;
    const Json reply{{"model", model},
                     {"created_at", ollama_now()},
                     {"response", ""},
                     {"done", true},
                     {"done_reason", unload ? "unload" : "load"}};
    co_await exchange.reply(reply);
    co_return;
  }
  const auto loaded = std::chrono::steady_clock::now();
  Answering answering(exchange, service, std::move(lease));
  co_await start(answering, exchange);
  OllamaShape shape;
  shape.stream = body.value("stream", true);
  shape.piece = [](std::string text) { return Json{{"response", std::move(text)}}; };
  co_await ollama_answer(exchange, answering, model, std::move(shape), began, loaded);
}

}  // namespace

extern const Endpoint ollama_generate{
    .method = Method::post,
    .path = "/api/generate",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "An answer to one prompt",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["model", "created_at", "response", "done"],
      "properties": {"model": {"type": "string"}, "created_at": {"type": "string"},
        "response": {"type": "string"}, "done": {"type": "boolean"}}})",
    .stream_type = "application/x-ndjson",
    .answer = answer};

}  // namespace malina::serve
