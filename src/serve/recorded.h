// What is done at once for a caller, and recorded: requests in which no model computes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "platform/service.h"
#include "serve/api_error.h"
#include "serve/exchange.h"

namespace malina::serve {

// `work` and `action` outlive the call. Admits (a request of the key's quota, and no tokens), runs
// `work` on another thread, records how it ended and returns what it returned. Throws as
// Service::begin and as `work` does.
asio::awaitable<std::string> recorded(Exchange& exchange, platform::Service& service,
                                      const platform::ModelPool::Lease& lease,
                                      std::string_view action,
                                      const std::function<std::string()>& work);

// The same where no model is used.
asio::awaitable<std::string> recorded(Exchange& exchange, platform::Service& service,
                                      std::string_view action,
                                      const std::function<std::string()>& work);

// Ends the record of an answer that did not come to its end in order: by `error`, or without one
// because its client has gone. Never throws.
void end_early(platform::GovernedRequest& record, const platform::RequestOutcome& counts,
               const std::optional<ApiError>& error);

// x-ratelimit-*: what the key has left.
void show_quota(Exchange& exchange, const platform::QuotaVerdict& quota);

}  // namespace malina::serve
