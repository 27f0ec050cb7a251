// GET /v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints
#include <array>

#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLimit = 10;

constexpr std::array kQuery{after_field(), limit_field(1000)};

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto page = co_await exchange.elsewhere([&] {
    return service.jobs().checkpoints(exchange.caller(), exchange.parameter(),
                                      page_of(exchange.query(), kLimit));
  });
  const Json reply = list_json(
      page, [&](const auto& each) { return checkpoint_json(each, exchange.parameter()); });
  co_await exchange.reply(reply);
}

}  // namespace

extern const Endpoint tuning_jobs_checkpoints{
    .method = Method::get,
    .path = "/v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints",
    .needs = Permission::train,
    .query = kQuery,
    .summary = "What a tuning job has kept that answers",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["object", "data", "has_more"],
      "properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/FineTuningJobCheckpoint"}}}})",
    .answer = answer};

}  // namespace malina::serve
