// GET /v1/files: the files of the key's tenant.
#include <array>

#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLimit = 10000;  // as OpenAI's, where none is given

constexpr std::array<std::string_view, 2> kOrders{"asc", "desc"};

constexpr std::array kQuery{
    after_field(),
    limit_field(kLimit),
    Field{.name = "purpose", .types = Type::text, .longest = 64},
    Field{.name = "order", .types = Type::text, .words = kOrders, .help = "By when they came"},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto page = co_await exchange.elsewhere([&] {
    const Json& query = exchange.query();
    return service.jobs().files(exchange.caller(), query.value("purpose", std::string()),
                                page_of(query, kLimit));
  });
  co_await exchange.reply(list_json(page, file_json));
}

}  // namespace

extern const Endpoint files_list{
    .method = Method::get,
    .path = "/v1/files",
    .needs = Permission::train,
    .query = kQuery,
    .summary = "The files of this key's tenant",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["object", "data", "has_more"],
      "properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/File"}}}})",
    .answer = answer};

}  // namespace malina::serve
