// POST /v1/chat/completions: a conversation's next message, by the model's own template.
#include <array>

#include "platform/language_model.h"
#include "platform/log_probabilities_json.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/chat_messages.h"
#include "serve/endpoint.h"
#include "serve/generation_fields.h"
#include "serve/openai_json.h"

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 2> kFormats{"text", "json_object"};
constexpr std::array kFormatFields{
    Field{.name = "type", .types = Type::text, .required = true, .words = kFormats}};
constexpr std::array kStreamOptionFields{
    Field{.name = "include_usage",
          .types = Type::boolean,
          .help = "A last event with the usage of the whole request"},
    Field{.name = "include_obfuscation", .types = Type::boolean, .use = Use::inert}};

const std::array kChatFields{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "messages",
          .types = Type::array,
          .required = true,
          .shortest = 1,
          .longest = 4096,
          .item_types = Type::object,
          .fields = message_fields()},
    Field{.name = "max_tokens",
          .types = Type::integer,
          .least = 1,
          .most = 1e9,
          .help = "At most so many tokens of answer; less where the context holds less"},
    Field{.name = "max_completion_tokens", .types = Type::integer, .least = 1, .most = 1e9},
    Field{.name = "n", .types = Type::integer, .least = 1, .most = 8},
    Field{.name = "logprobs", .types = Type::boolean},
    Field{.name = "top_logprobs",
          .types = Type::integer,
          .least = 0,
          .most = 20,
          .help = "Needs logprobs"},
    Field{.name = "stream_options",
          .types = Type::object,
          .fields = kStreamOptionFields,
          .help = "Needs stream"},
    Field{.name = "response_format", .types = Type::object, .fields = kFormatFields},
};
constexpr std::array kRefused{
    Field{.name = "tools", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "tool_choice", .use = Use::refused, .neutral = "[\"none\", \"auto\"]"},
    Field{.name = "functions", .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "function_call", .use = Use::refused, .neutral = "[\"none\", \"auto\"]"},
    Field{.name = "modalities", .use = Use::refused, .neutral = "[[\"text\"]]"},
    Field{.name = "audio", .use = Use::refused},
    Field{.name = "prediction", .use = Use::refused},
    Field{.name = "reasoning_effort", .use = Use::refused},
    Field{.name = "verbosity", .use = Use::refused},
    Field{.name = "web_search_options", .use = Use::refused},
};
const auto kBody = joined(kChatFields, kSamplingFields, kStreamFields, kInertFields, kRefused);

struct Asked {
  std::string model;
  platform::ChatRequest request;
  std::size_t count = 1, top = 0;
  bool stream = false, include_usage = false, log_probabilities = false;
};

Asked read(Exchange& exchange) {
  const Json& body = exchange.body();
  Asked asked;
  asked.model = body["model"].get<std::string>();
  asked.request.messages = template_messages(exchange.take("messages"));
  asked.request.sampling = sampling_of(body);
  asked.request.stop = stops_of(body);
  if (body.contains("max_tokens") && body.contains("max_completion_tokens"))
    throw bad_request("'max_tokens' and 'max_completion_tokens' are the same: give one",
                      "max_tokens", "invalid_value");
  for (const char* name : {"max_tokens", "max_completion_tokens"})
    if (body.contains(name)) asked.request.max_tokens = body[name].get<std::size_t>();
  asked.count = body.value("n", std::size_t{1});
  asked.stream = body.value("stream", false);
  asked.log_probabilities = body.value("logprobs", false);
  asked.top = body.value("top_logprobs", std::size_t{0});
  if (asked.top > 0 && !asked.log_probabilities)
    throw bad_request("'top_logprobs' needs \"logprobs\": true", "top_logprobs", "invalid_value");
  if (body.contains("stream_options")) {
    if (!asked.stream)
      throw bad_request("'stream_options' needs \"stream\": true", "stream_options",
                        "invalid_value");
    asked.include_usage = body["stream_options"].value("include_usage", false);
  }
  if (asked.log_probabilities) asked.request.log_probabilities = asked.top;
  asked.request.json =
      body.contains("response_format") && body["response_format"]["type"] == "json_object";
  return asked;
}

Json whole(const Asked& asked, const Answering& answering) {
  Json choices = Json::array();
  for (const auto& answer : answering.answers()) {
    const platform::GenerationResult& result = answer->result();
    Json choice{
        {"index", choices.size()},
        {"message", {{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}}},
        {"logprobs", nullptr},
        {"finish_reason", finish_reason(result)}};
    if (asked.log_probabilities)
      choice["logprobs"] = platform::chat_log_probabilities(result.scores, asked.top);
    choices.push_back(std::move(choice));
  }
  return {{"id", new_id("chatcmpl-")},     {"object", "chat.completion"},
          {"created", unix_time()},        {"model", asked.model},
          {"choices", std::move(choices)}, {"usage", usage_json(answering.answers(), asked.count)},
          {"system_fingerprint", nullptr}};
}

Json chunk(const Json& frame, std::size_t index, Json delta) {
  Json json = frame;
  json["choices"] = Json::array({{{"index", index},
                                  {"delta", std::move(delta)},
                                  {"logprobs", nullptr},
                                  {"finish_reason", nullptr}}});
  return json;
}

asio::awaitable<void> pieces(Exchange& exchange, const Asked& asked, Answering& answering) {
  Json frame{{"id", new_id("chatcmpl-")},     {"object", "chat.completion.chunk"},
             {"created", unix_time()},        {"model", asked.model},
             {"system_fingerprint", nullptr}, {"choices", Json::array()}};
  if (asked.include_usage) frame["usage"] = nullptr;
  co_await answering.wait_for_turn();
  answering.set_ping(": ping\n\n");
  co_await exchange.begin_stream("text/event-stream; charset=utf-8");
  std::string begin;
  for (std::size_t i = 0; i < asked.count; ++i)
    begin += event(chunk(frame, i, {{"role", "assistant"}, {"content", ""}}));
  co_await exchange.write(std::move(begin));
  while (const auto next = co_await answering.next()) {
    std::string text;
    if (!next->piece.text.empty() || !next->piece.scores.empty()) {
      Json json = chunk(frame, next->index, {{"content", next->piece.text}});
      if (asked.log_probabilities)
        json["choices"][0]["logprobs"] =
            platform::chat_log_probabilities(next->piece.scores, asked.top);
      text += event(json);
    }
    if (next->ended) {
      Json json = chunk(frame, next->index, Json::object());
      json["choices"][0]["finish_reason"] =
          finish_reason(answering.answers()[next->index]->result());
      text += event(json);
    }
    co_await exchange.write(std::move(text));
  }
  co_await answering.settle();
  std::string end;
  if (asked.include_usage) {
    Json json = frame;
    json["usage"] = usage_json(answering.answers(), asked.count);
    end += event(json);
  }
  co_await exchange.write(std::move(end) + "data: [DONE]\n\n");
  co_await exchange.end_stream();
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  Asked asked = co_await exchange.beside([&] { return read(exchange); });
  Answering answering(exchange, service, co_await ready_model(exchange, service, asked.model));
  std::vector<platform::ChatRequest> requests;
  requests.push_back(std::move(asked.request));
  co_await answering.start(std::move(requests), "chat", asked.count);
  if (asked.stream) {
    co_await pieces(exchange, asked, answering);
    co_return;
  }
  co_await answering.finish();
  co_await exchange.reply_made([&] { return whole(asked, answering); });
}

constexpr std::string_view kAnswer = R"({
  "type": "object",
  "required": ["id", "object", "created", "model", "choices", "usage"],
  "properties": {
    "id": {"type": "string"}, "object": {"const": "chat.completion"},
    "created": {"type": "integer"}, "model": {"type": "string"},
    "choices": {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["index", "message", "logprobs", "finish_reason"],
      "properties": {
        "index": {"type": "integer"},
        "message": {"type": "object", "required": ["role", "content"], "properties": {
          "role": {"const": "assistant"}, "content": {"type": "string"}}},
        "logprobs": {"type": ["object", "null"]},
        "finish_reason": {"enum": ["stop", "length"]}}}},
    "usage": {"$ref": "#/components/schemas/Usage"}}})";

}  // namespace

extern const Endpoint chat_completions{.method = Method::post,
                                       .path = "/v1/chat/completions",
                                       .needs = Permission::infer,
                                       .body = kBody,
                                       .has_body = true,
                                       .works = true,
                                       .summary = "The next message of a conversation",
                                       .tag = "openai",
                                       .answer_schema = kAnswer,
                                       .stream_type = "text/event-stream",
                                       .answer = answer};

}  // namespace malina::serve
