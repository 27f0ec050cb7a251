// POST /v1/detokenize: the text of tokens.
#include <array>

#include "platform/language_model.h"
#include "serve/answering.h"
#include "serve/endpoint.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "tokens",
          .types = Type::array,
          .required = true,
          .least = 0,
          .most = 2147483647.0,
          .longest = 262144,
          .item_types = Type::integer},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  const auto lease = co_await ready_model(exchange, service, body["model"].get<std::string>());
  const std::function<std::string()> work = [&] {
    return lease.model->text_of(body["tokens"].get<std::vector<std::int64_t>>());
  };
  const std::string text = co_await recorded(exchange, service, lease, "detokenize", work);
  const Json reply{{"prompt", text}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint detokenize{.method = Method::post,
                                 .path = "/v1/detokenize",
                                 .needs = Permission::infer,
                                 .body = kBody,
                                 .has_body = true,
                                 .works = true,
                                 .summary = "The text of tokens",
                                 .answer_schema = R"({"type": "object", "required": ["prompt"],
      "properties": {"prompt": {"type": "string"}}})",
                                 .answer = answer};

}  // namespace malina::serve
