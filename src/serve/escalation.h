// Questions that a model of this machine was not sure of, asked of an upstream.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "serve/deciding.h"
#include "serve/exchange.h"

namespace malina::serve {

// Before anything is computed: throws where the caller may not have the question asked of its
// upstream (Service::check_upstream), no upstream is asked such a one, there is no such model, or
// it was tuned for a question of its own. `path`: of the field that names it.
void check_escalation(Exchange& exchange, platform::Service& service,
                      const platform::QuestionPointer& question, const std::string& path);

struct Escalation {
  std::string upstream;
  std::vector<platform::QuestionPointer> questions;
  std::vector<std::size_t> places;  // of their answers in Decided
  const std::string& text;          // outlives it
};

// Asks the upstream, as one request of the caller's quota, whose intent is durable before a word of
// it leaves. An answer takes the place of the one in `decided`; where there is none, the first one
// stands, abstains as it did, and says why. Throws as Service::begin does, and what ends a request.
asio::awaitable<void> escalate(Exchange& exchange, platform::Service& service,
                               Escalation escalation, Decided& decided);

}  // namespace malina::serve
