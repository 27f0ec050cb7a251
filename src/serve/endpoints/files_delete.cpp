// DELETE /v1/files/{file_id}: its bytes and its record.
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const std::function<std::string()> work = [&] {
    service.jobs().remove_file(exchange.caller(), exchange.parameter(), exchange.request_id());
    Json json = Json::object();
    json["id"] = exchange.parameter();
    json["object"] = "file";
    json["deleted"] = true;
    return json_text(json);
  };
  std::string reply = co_await recorded(exchange, service, "files.delete", work);
  co_await exchange.reply(200, "application/json", std::move(reply));
}

}  // namespace

extern const Endpoint files_delete{
    .method = Method::delete_,
    .path = "/v1/files/{file_id}",
    .needs = Permission::train,
    .works = true,
    .summary = "Deletes a file; refused while a job that is not over reads it",
    .tag = "openai",
    .answer_schema = R"({"type": "object", "required": ["id", "object", "deleted"],
      "properties": {"id": {"type": "string"}, "object": {"const": "file"},
        "deleted": {"const": true}}})",
    .answer = answer};

}  // namespace malina::serve
