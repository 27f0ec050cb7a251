#include "platform/governed_request.h"

namespace malina::platform {

GovernedRequest::GovernedRequest(govern::RecordKeeper& keeper, const Caller& caller,
                                 RequestFacts facts, const QuotaVerdict& verdict,
                                 govern::QuotaLedger::Hold hold)
    : keeper_(keeper),
      actor_(actor(caller)),
      facts_(std::move(facts)),
      verdict_(verdict),
      hold_(std::move(hold)) {}

GovernedRequest::~GovernedRequest() {
  if (!open_) return;
  try {
    end({.outcome = "abandoned", .status = 0}, [](std::exception_ptr) {});
  } catch (...) {
    // No memory for a record: the intent without an outcome says as much.
  }
}

void GovernedRequest::record(const RequestOutcome& outcome, Done done) {
  keeper_.audit().record({.actor = actor_,
                          .action = facts_.action,
                          .model = facts_.model,
                          .digest = facts_.digest,
                          .request = facts_.request_id,
                          .outcome = outcome.outcome,
                          .status = outcome.status,
                          .prompt_tokens = outcome.prompt_tokens,
                          .completion_tokens = outcome.completion_tokens},
                         std::move(done),
                         [quotas = &keeper_.quotas(), key = actor_.id](store::Database& database) {
                           quotas->write(database, key);
                         });
}

void GovernedRequest::begin(Done done) {
  open_ = true;
  record({.outcome = "intent", .status = 0}, std::move(done));
}

void GovernedRequest::end(const RequestOutcome& outcome, Done done) {
  open_ = false;
  hold_.settle(outcome.prompt_tokens + outcome.completion_tokens);
  record(outcome, std::move(done));
}

}  // namespace malina::platform
