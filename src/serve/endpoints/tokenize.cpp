// POST /v1/tokenize: the tokens of a text or a conversation, for clients that count before they
// ask.
#include <fmt/format.h>

#include <array>

#include "platform/language_model.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/chat_messages.h"
#include "serve/endpoint.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

// Tokenising takes some forty bytes of memory for each of the text: no context holds more than
// this.
constexpr std::size_t kLongest = std::size_t{4} << 20;

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "prompt",
          .types = Type::text,
          .longest = kLongest,
          .help = "A text: this or messages"},
    Field{.name = "messages",
          .types = Type::array,
          .shortest = 1,
          .longest = 4096,
          .item_types = Type::object,
          .fields = message_fields(),
          .help = "A conversation, by the model's template"},
    Field{.name = "add_special_tokens",
          .types = Type::boolean,
          .help = "The model's BOS before a prompt, as a completion has it; true where not given"},
};

// As text at once: a document of a million numbers would take many times as much.
std::string counted(const std::vector<std::int32_t>& tokens, std::size_t context) {
  return fmt::format(R"({{"count":{},"max_model_len":{},"tokens":[{}]}})", tokens.size(), context,
                     fmt::join(tokens, ","));
}

std::vector<std::int32_t> tokens_of(Exchange& exchange, const platform::LanguageModel& model) {
  const Json& body = exchange.body();
  if (!body.contains("messages"))
    return model.tokens(body["prompt"].get_ref<const std::string&>(),
                        body.value("add_special_tokens", true));
  Json messages = template_messages(exchange.take("messages"));
  std::size_t bytes = 0;
  for (const Json& message : messages)
    bytes += message["content"].get_ref<const std::string&>().size();
  if (bytes > kLongest)
    throw bad_request(
        fmt::format("'messages' have {} bytes of text, more than {}", bytes, kLongest), "messages",
        "invalid_value");
  return model.chat_tokens(messages);
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  if (body.contains("prompt") == body.contains("messages"))
    throw bad_request("give either 'prompt' or 'messages'", "prompt", "invalid_value");
  const auto lease = co_await ready_model(exchange, service, body["model"].get<std::string>());
  const std::function<std::string()> work = [&] {
    return counted(tokens_of(exchange, *lease.model), lease.model->context());
  };
  std::string reply = co_await recorded(exchange, service, lease, "tokenize", work);
  co_await exchange.reply(200, "application/json", std::move(reply));
}

}  // namespace

extern const Endpoint tokenize{
    .method = Method::post,
    .path = "/v1/tokenize",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "The tokens of a text or a conversation",
    .answer_schema = R"({"type": "object", "required": ["count", "max_model_len", "tokens"],
      "properties": {"count": {"type": "integer"}, "max_model_len": {"type": "integer"},
        "tokens": {"type": "array", "items": {"type": "integer"}}}})",
    .answer = answer};

}  // namespace malina::serve
