// POST /api/show: what there is to know of one model.
#include <array>

#include "serve/endpoint.h"
#include "serve/ollama.h"

namespace malina::serve {

namespace {

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .longest = 256},
    Field{.name = "name", .types = Type::text, .longest = 256, .help = "The older name of model"},
    Field{.name = "verbose", .types = Type::boolean, .use = Use::inert},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const std::string name = ollama_model(exchange.body());
  const auto listed =
      co_await exchange.elsewhere([&] { return service.model(exchange.caller(), name); });
  const auto facts =
      co_await exchange.elsewhere([&] { return service.inspect(exchange.caller(), name); });
  const std::string& family = facts.architecture;
  Json info{{"general.architecture", family}, {"general.parameter_count", facts.parameters}};
  if (facts.sizes) {
    info[family + ".context_length"] = facts.sizes->context;
    info[family + ".embedding_length"] = facts.sizes->width;
    info[family + ".block_count"] = facts.sizes->layers;
  }
  std::string chat_template;
  for (const auto& each : facts.templates)
    if (each.name.empty()) chat_template = each.source;
  const Json reply{{"modelfile", "FROM " + name + "\n"},
                   {"parameters", ""},
                   {"template", chat_template},
                   {"license", facts.licence},
                   {"details", ollama_details(listed)},
                   {"model_info", std::move(info)},
                   {"capabilities", {"completion"}},
                   {"modified_at", ollama_time(listed.created * 1'000'000)}};
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint ollama_show{
    .method = Method::post,
    .path = "/api/show",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .summary = "What there is to know of one model",
    .tag = "ollama",
    .answer_schema = R"({"type": "object", "required": ["details", "model_info", "template"]})",
    .answer = answer};

}  // namespace malina::serve
