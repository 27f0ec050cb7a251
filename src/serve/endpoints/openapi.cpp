// GET /openapi.json: this interface, for programs.
#include "serve/openapi.h"

#include "platform/service.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const auto all = co_await exchange.elsewhere([&] { return service.models(exchange.caller()); });
  std::vector<std::string> names;
  for (const platform::ListedModel& model : all)
    if (model.kind.empty()) names.push_back(model.name);  // most routes take models alone
  const Json document = openapi_document(names);
  co_await exchange.reply(document);
}

}  // namespace

extern const Endpoint openapi{.method = Method::get,
                              .path = "/openapi.json",
                              .needs = Permission::infer,
                              .summary = "This interface as an OpenAPI document",
                              .answer_schema = R"({"type": "object"})",
                              .answer = answer};

}  // namespace malina::serve
