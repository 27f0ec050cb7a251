// POST /v1/tokenize: the tokens of a text or a conversation, for clients that count before they
// ask.
#include <array>

#include "platform/language_model.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/chat_messages.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

const std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "prompt", .types = Type::text, .help = "A text: this or messages"},
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

Json counted(const std::vector<std::int32_t>& tokens, std::size_t context) {
  return {{"count", tokens.size()}, {"max_model_len", context}, {"tokens", tokens}};
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  if (body.contains("prompt") == body.contains("messages"))
    throw bad_request("give either 'prompt' or 'messages'", "prompt", "invalid_value");
  const auto lease = co_await ready_model(exchange, service, body["model"].get<std::string>());
  const auto ids = co_await exchange.elsewhere([&] {
    if (body.contains("messages"))
      return lease.model->chat_tokens(template_messages(body["messages"]));
    return lease.model->tokens(body["prompt"].get_ref<const std::string&>(),
                               body.value("add_special_tokens", true));
  });
  co_await exchange.reply(counted(ids, lease.model->context()));
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
