// GET /v1/files/{file_id}: what is known of one file.
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto file = co_await exchange.elsewhere(
      [&] { return service.jobs().file(exchange.caller(), exchange.parameter()); });
  co_await exchange.reply(file_json(file));
}

}  // namespace

extern const Endpoint files_get{.method = Method::get,
                                .path = "/v1/files/{file_id}",
                                .needs = Permission::train,
                                .summary = "What is known of a file",
                                .tag = "openai",
                                .answer_schema = R"({"$ref": "#/components/schemas/File"})",
                                .answer = answer};

}  // namespace malina::serve
