// GET /v1/fine_tuning/jobs/{fine_tuning_job_id}: one job, as it stands.
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto job = co_await exchange.elsewhere(
      [&] { return service.jobs().job(exchange.caller(), exchange.parameter()); });
  co_await exchange.reply(job_json(job));
}

}  // namespace

extern const Endpoint tuning_jobs_get{
    .method = Method::get,
    .path = "/v1/fine_tuning/jobs/{fine_tuning_job_id}",
    .needs = Permission::train,
    .summary = "One tuning job",
    .tag = "openai",
    .answer_schema = R"({"$ref": "#/components/schemas/FineTuningJob"})",
    .answer = answer};

}  // namespace malina::serve
