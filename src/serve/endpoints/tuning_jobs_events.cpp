// GET /v1/fine_tuning/jobs/{fine_tuning_job_id}/events
#include <array>

#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLimit = 20;

constexpr std::array kQuery{after_field(), limit_field(1000)};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto page = co_await exchange.elsewhere([&] {
    return service.jobs().events(exchange.caller(), exchange.parameter(),
                                 page_of(exchange.query(), kLimit));
  });
  const Json reply = list_json(page, event_json);
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint tuning_jobs_events{
    .method = Method::get,
    .path = "/v1/fine_tuning/jobs/{fine_tuning_job_id}/events",
    .needs = Permission::train,
    .query = kQuery,
    .summary = "What a tuning job has told, newest first",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["object", "data", "has_more"],
      "properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/FineTuningJobEvent"}}}})",
    .answer = answer};

}  // namespace malina::serve
