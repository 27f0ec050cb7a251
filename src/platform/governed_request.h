// One request of a caller, from its admission to its end: what it may use, what it holds of the
// key's quota, and its two records in the audit.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "govern/record_keeper.h"
#include "platform/caller.h"

namespace malina::platform {

using govern::QuotaRefusal;
using govern::QuotaVerdict;
using govern::QuotaWindow;
using govern::Recording;
using govern::RecordingState;

struct RequestFacts {
  std::string action = {};      // "chat.completions"
  std::string model = {};       // as it was asked for
  std::string digest = {};      // of the model that is; hexadecimal
  std::string request_id = {};  // as the answer's x-request-id has it
  std::int64_t tokens = 0;      // prompt and longest answer together
};

struct RequestOutcome {
  std::string outcome = "done";  // or "cancelled", "failed", ...
  int status = 200;              // of HTTP
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// Made by Platform::admit; the platform outlives it. One owner, any thread. Where it goes without
// end() after begin(), the audit says "abandoned"; what it held of the quota is given back in any
// case.
class GovernedRequest {
 public:
  // Nothing when the record is durable; otherwise why not, and then the request must be refused, or
  // ended with an error. Called once, by the thread that writes: it must neither throw nor block.
  using Done = std::function<void(std::exception_ptr)>;

  GovernedRequest(govern::RecordKeeper& keeper, const Caller& caller, RequestFacts facts,
                  const QuotaVerdict& verdict, govern::QuotaLedger::Hold hold);
  ~GovernedRequest();
  GovernedRequest(const GovernedRequest&) = delete;
  GovernedRequest& operator=(const GovernedRequest&) = delete;

  // The intent; before the first byte of an answer.
  void begin(Done done);
  // The outcome; before the [DONE] of a stream, or the answer's last byte. Once, after begin().
  void end(const RequestOutcome& outcome, Done done);

  bool open() const { return open_; }                     // begun, and not ended
  const QuotaVerdict& quota() const { return verdict_; }  // for x-ratelimit-*

 private:
  void record(const RequestOutcome& outcome, Done done);

  govern::RecordKeeper& keeper_;
  const Actor actor_;
  const RequestFacts facts_;
  const QuotaVerdict verdict_;
  govern::QuotaLedger::Hold hold_;
  bool open_ = false;  // begun, and not ended
};

struct Admission {
  QuotaVerdict verdict;                      // why not, when to try again, what is left
  std::unique_ptr<GovernedRequest> request;  // null where it is refused
};

}  // namespace malina::platform
