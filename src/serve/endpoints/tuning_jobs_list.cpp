// GET /v1/fine_tuning/jobs: the jobs of the key's tenant, newest first.
#include <array>

#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLimit = 20;

constexpr std::array kQuery{
    after_field(),
    limit_field(1000),
    Field{.name = "metadata",
          .types = Type::object,
          .longest = 16,
          .open = true,
          .help = "Only jobs with these pairs: metadata[NAME]=VALUE"},
};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto page = co_await exchange.elsewhere([&] {
    const Json& query = exchange.query();
    return service.jobs().jobs(exchange.caller(), query.value("metadata", Json::object()),
                               page_of(query, kLimit));
  });
  co_await exchange.reply(list_json(page, job_json));
}

}  // namespace

extern const Endpoint tuning_jobs_list{
    .method = Method::get,
    .path = "/v1/fine_tuning/jobs",
    .needs = Permission::train,
    .query = kQuery,
    .summary = "The tuning jobs of this key's tenant, newest first",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["object", "data", "has_more"],
      "properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/FineTuningJob"}}}})",
    .answer = answer};

}  // namespace malina::serve
