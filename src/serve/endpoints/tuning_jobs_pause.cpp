// POST /v1/fine_tuning/jobs/{fine_tuning_job_id}/pause
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const std::function<std::string()> work = [&] {
    return json_text(job_json(
        service.jobs().pause(exchange.caller(), exchange.parameter(), exchange.request_id())));
  };
  std::string reply = co_await recorded(exchange, service, "fine_tuning.jobs.pause", work);
  co_await exchange.reply(200, "application/json", std::move(reply));
}

}  // namespace

extern const Endpoint tuning_jobs_pause{
    .method = Method::post,
    .path = "/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause",
    .needs = Permission::train,
    .works = true,
    .summary = "Pauses a tuning job, with a snapshot",
    .tag = "openai",
    .answer_schema = R"({"$ref": "#/components/schemas/FineTuningJob"})",
    .answer = answer};

}  // namespace malina::serve
