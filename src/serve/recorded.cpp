#include "serve/recorded.h"

#include <fmt/format.h>

namespace malina::serve {

void end_early(platform::GovernedRequest& record, const platform::RequestOutcome& counts,
               const std::optional<ApiError>& error) {
  try {
    platform::RequestOutcome outcome = counts;
    outcome.outcome = error ? outcome_word(*error) : "cancelled";
    outcome.status = static_cast<int>(error ? error->status : kClientClosed);
    record.end(outcome, [](std::exception_ptr) {});
  } catch (...) {
    // No memory for a record: the intent without an outcome says as much.
  }
}

void show_quota(Exchange& exchange, const platform::QuotaVerdict& quota) {
  const auto show = [&](const char* kind, const platform::QuotaWindow& window) {
    if (window.limit == 0) return;
    exchange.header(fmt::format("x-ratelimit-limit-{}", kind), fmt::format("{}", window.limit));
    exchange.header(fmt::format("x-ratelimit-remaining-{}", kind),
                    fmt::format("{}", window.remaining));
    exchange.header(fmt::format("x-ratelimit-reset-{}", kind),
                    fmt::format("{}ms", window.reset.count()));
  };
  show("requests", quota.requests);
  show("tokens", quota.tokens);
}

namespace {

// `facts` and `work` outlive the call.
asio::awaitable<std::string> run(Exchange& exchange, platform::Service& service,
                                 const platform::RequestFacts& facts,
                                 const std::function<std::string()>& work) {
  std::unique_ptr<platform::GovernedRequest> record;
  std::exception_ptr failure;
  std::string result;
  try {
    result = co_await exchange.elsewhere([&] {
      record = service.begin(exchange.caller(), facts);
      std::string made = work();
      service.end(*record, {});
      return made;
    });
  } catch (...) {
    failure = std::current_exception();
  }
  if (record) show_quota(exchange, record->quota());
  if (!failure) co_return result;
  if (record && record->open()) exchange.leave(std::move(record), {});
  std::rethrow_exception(failure);
}

}  // namespace

asio::awaitable<std::string> recorded(Exchange& exchange, platform::Service& service,
                                      const platform::ModelPool::Lease& lease,
                                      std::string_view action,
                                      const std::function<std::string()>& work) {
  const platform::RequestFacts facts{.action = std::string(action),
                                     .model = lease.label,
                                     .digest = lease.digest.hex(),
                                     .request_id = exchange.request_id(),
                                     .tokens = 0};
  std::string result = co_await run(exchange, service, facts, work);
  co_return result;
}

asio::awaitable<std::string> recorded(Exchange& exchange, platform::Service& service,
                                      std::string_view action,
                                      const std::function<std::string()>& work) {
  platform::RequestFacts facts;
  facts.action = std::string(action);
  facts.request_id = exchange.request_id();
  std::string result = co_await run(exchange, service, facts, work);
  co_return result;
}

}  // namespace malina::serve
