#include "serve/escalation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <span>

#include "base/error.h"
#include "platform/service.h"
#include "platform/upstream_decision.h"
#include "serve/connector_call.h"
#include "serve/metrics.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

using Clock = std::chrono::steady_clock;
using platform::UpstreamFault;
using platform::UpstreamReply;

constexpr std::size_t kAtOnce = 8;  // questions of one request
constexpr auto kCheck = std::chrono::milliseconds(500);

// A message holds the whole text and the question's options: it is built where it is needed, and
// never kept for all questions at once.
platform::UpstreamQuestion message_of(const Escalation& escalation, std::size_t index) {
  return platform::upstream_question(*escalation.questions[index], escalation.text,
                                     escalation.upstream);
}

// The questions to one upstream. What is under way ends with it.
class Asking {
 public:
  Asking(Exchange& exchange, platform::Service& service, const Escalation& escalation)
      : exchange_(exchange),
        service_(service),
        escalation_(escalation),
        calls_(escalation.questions.size()),
        replies_(escalation.questions.size()),
        asked_(escalation.questions.size()),
        until_(Clock::now() + service.settings().upstream_wait) {}

  asio::awaitable<void> finish() {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    while (ended_ < replies_.size()) {
      while (next_ < replies_.size() && next_ - ended_ < kAtOnce) begin_next(executor);
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now());
      if (left.count() <= 0) co_return give_up();
      const auto time = std::min<std::chrono::milliseconds>(left, kCheck);
      if (!take_ended()) co_await exchange_.pause(time);
      service_.check_still_valid(exchange_.caller());
    }
  }

  const std::vector<UpstreamReply>& replies() const { return replies_; }
  bool asked(std::size_t index) const { return asked_[index]; }  // the text may have left

 private:
  void begin_next(const asio::any_io_executor& executor) {
    const std::size_t index = next_++;
    std::string line = platform::line_of(message_of(escalation_, index));
    if (line.size() > platform::kMostUpstreamLine) return end(index, {UpstreamFault::too_large});
    asked_[index] = true;
    calls_[index] = std::make_unique<ConnectorCall>(executor, service_.connector(), std::move(line),
                                                    exchange_.waker());
  }

  bool take_ended() {
    bool any = false;
    for (std::size_t i = 0; i < next_; ++i) {
      if (!calls_[i] || !calls_[i]->reply()) continue;
      end(i, *calls_[i]->reply());
      any = true;
    }
    return any;
  }

  void end(std::size_t index, UpstreamReply reply) {
    replies_[index] = std::move(reply);
    calls_[index].reset();
    ++ended_;
  }

  void give_up() {
    for (std::size_t i = 0; i < replies_.size(); ++i)
      if (calls_[i] || i >= next_) end(i, {UpstreamFault::timeout});
  }

  Exchange& exchange_;
  platform::Service& service_;
  const Escalation& escalation_;
  std::vector<std::unique_ptr<ConnectorCall>> calls_;  // null: not begun, or ended
  std::vector<UpstreamReply> replies_;
  std::vector<bool> asked_;
  const Clock::time_point until_;
  std::size_t next_ = 0, ended_ = 0;
};

// The counts of an answer. Where the upstream did not count or gave no answer, a guess, since what
// left counts; nothing where nothing did.
platform::RequestOutcome counts_of(std::int64_t guess, const UpstreamReply& reply) {
  platform::RequestOutcome counts;
  if (reply.fault == UpstreamFault::unreachable) return counts;
  if (reply.fault == UpstreamFault::too_large && reply.status == 0) return counts;
  counts.prompt_tokens = reply.answer.prompt_tokens;
  counts.completion_tokens = reply.answer.completion_tokens;
  if (counts.prompt_tokens == 0) counts.prompt_tokens = guess;
  return counts;
}

// Puts the answer in its place, or says there why it has none.
UpstreamFault place(const Escalation& escalation, std::size_t index, const UpstreamReply& reply,
                    platform::Decision& decision) {
  UpstreamFault fault = reply.fault;
  if (fault == UpstreamFault::none) {
    auto answer = platform::upstream_decision(*escalation.questions[index], escalation.text,
                                              reply.answer, escalation.upstream);
    if (answer)
      decision = *std::move(answer);
    else
      fault = UpstreamFault::no_label;
  }
  if (fault != UpstreamFault::none) platform::note_fault(decision, fault);
  return fault;
}

// Returns how the whole of it ended: with a fault where there was any, as a gateway would answer.
platform::RequestOutcome settle(Exchange& exchange, const Escalation& escalation,
                                std::span<const std::int64_t> guesses, const Asking& asking,
                                Decided& decided) {
  const std::vector<UpstreamReply>& replies = asking.replies();
  platform::RequestOutcome whole;
  std::size_t faults = 0;
  UpstreamFault last = UpstreamFault::none;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const UpstreamFault fault =
        place(escalation, i, replies[i], decided.decisions[escalation.places[i]]);
    const bool answered = fault == UpstreamFault::none;
    exchange.metrics().escalation(escalation.upstream, answered ? "answered" : name(fault));
    platform::RequestOutcome counts;
    if (asking.asked(i)) counts = counts_of(guesses[i], replies[i]);
    whole.prompt_tokens += counts.prompt_tokens;
    whole.completion_tokens += counts.completion_tokens;
    if (answered) continue;
    last = fault;
    ++faults;
  }
  if (faults == 0) return whole;
  const bool late = last == UpstreamFault::timeout;
  whole.outcome = late ? "timeout" : "failed";
  whole.status = late ? 504 : 502;
  exchange.remark(fmt::format("{}{} gave no answer to {} of {} questions: {}",
                              platform::kUpstreamPrefix, escalation.upstream, faults,
                              replies.size(), name(last)));
  return whole;
}

}  // namespace

void check_escalation(Exchange& exchange, platform::Service& service,
                      const platform::QuestionPointer& question, const std::string& path) {
  const std::string target = platform::escalation_of(*question);
  const auto upstream = platform::upstream_of(target);
  if (!upstream) {
    if (target.empty()) return;
    service.model(exchange.caller(), target);
    if (service.tuned(exchange.caller(), target))
      throw base::Error(
          base::Fault::invalid_argument,
          fmt::format("'{}' was tuned for its own question: no other is asked of it", target),
          {.parameter = path});
    return;
  }
  try {
    service.check_upstream(exchange.caller(), *upstream);
    platform::check_for_upstream(*question);
  } catch (const base::Error& error) {
    base::ErrorDetails details = error.details();
    details.parameter = path;
    throw base::Error(error.fault(), error.what(), details);
  }
}

asio::awaitable<void> escalate(Exchange& exchange, platform::Service& service,
                               Escalation escalation, Decided& decided) {
  std::vector<std::int64_t> guesses;  // of the tokens of each message
  platform::RequestFacts facts;
  facts.action = "decision.escalation";
  facts.model = std::string(platform::kUpstreamPrefix) + escalation.upstream;
  facts.request_id = exchange.request_id();
  for (std::size_t i = 0; i < escalation.questions.size(); ++i) {
    const platform::UpstreamQuestion message = message_of(escalation, i);
    guesses.push_back(platform::prompt_tokens_guess(message));
    facts.tokens += guesses.back() + static_cast<std::int64_t>(message.most_tokens);
  }
  auto record =
      co_await exchange.elsewhere([&] { return service.begin(exchange.caller(), facts); });
  show_quota(exchange, record->quota());
  std::exception_ptr failure;
  Asking asking(exchange, service, escalation);
  try {
    co_await asking.finish();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {  // the client left, the key was revoked, the server stops
    platform::RequestOutcome sent;
    for (std::size_t i = 0; i < guesses.size(); ++i)
      if (asking.asked(i)) sent.prompt_tokens += guesses[i];
    exchange.leave(std::move(record), sent);
    std::rethrow_exception(failure);
  }
  const platform::RequestOutcome outcome = settle(exchange, escalation, guesses, asking, decided);
  decided.input_tokens += static_cast<std::size_t>(outcome.prompt_tokens);
  decided.output_tokens += static_cast<std::size_t>(outcome.completion_tokens);
  co_await exchange.elsewhere([&] { service.end(*record, outcome); });
}

}  // namespace malina::serve
