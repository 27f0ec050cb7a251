// What all routes that let a model answer have in common: wait for the model, admit, start, follow.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "platform/generation.h"
#include "platform/service.h"
#include "serve/exchange.h"
#include "serve/metrics.h"
#include "serve/recorded.h"

namespace malina::serve {

// Waits for a model that is loading, up to load_wait; then ApiError 503 with Retry-After.
asio::awaitable<platform::ModelPool::Lease> ready_model(Exchange& exchange,
                                                        platform::Service& service,
                                                        std::string model);

// Typed questions about one text: an answer of each, in their order.
struct Questions {
  std::vector<platform::QuestionPointer> questions;
  std::string text;
  platform::RequestOrigin origin = {};
};

// The answers to one request, under way. To be made on a worker thread (tokenising and the record
// of the beginning take time), and followed on the server's.
class Answering {
 public:
  struct Event {
    std::size_t index;  // which of the answers
    platform::AnswerPiece piece;
    bool ended;
  };

  Answering(Exchange& exchange, platform::Service& service, platform::ModelPool::Lease lease)
      : exchange_(exchange),
        service_(service),
        lease_(std::move(lease)),
        metrics_(exchange.metrics().of(lease_.label)) {}
  // Without settle(): what was computed until then is charged, and recorded with the reason
  // (Exchange::leave).
  ~Answering();
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  // Admits and starts `each` answers to every request, one request's after another's: all of them
  // or none.
  template <class Request>
  asio::awaitable<void> start(std::vector<Request> requests, std::string_view action,
                              std::size_t each = 1) {
    co_await exchange_.elsewhere([&] { start_here(requests, each, action); });
    exchange_.release_body();
    show_quota(exchange_, record_->quota());
  }

  // Of a tuned classifier, whose lease holds no model: its answer to its own question about a text.
  asio::awaitable<void> start_tuned(platform::TunedRecord record, std::string text,
                                    std::string_view action);

  // Waits until the first of them is computed. A response should begin only then: while it waits
  // for its turn it can still be refused, which it is after queue_wait (ApiError 503).
  asio::awaitable<void> wait_for_turn();

  // The next piece of any of them; nullopt when all have ended. Writes `ping` where a stream had
  // nothing to say for long. Throws ApiError where the time is up or the key was revoked.
  asio::awaitable<std::optional<Event>> next();

  // After the end: records it. The response may end only then.
  asio::awaitable<void> settle();  // once
  // All of that, for answers of which nobody wants to see pieces.
  asio::awaitable<void> finish();

  void set_ping(std::string ping) { ping_ = std::move(ping); }
  const std::vector<std::unique_ptr<platform::Answer>>& answers() const { return answers_; }
  platform::LanguageModel& model() { return *lease_.model; }
  const platform::ModelPool::Lease& lease() const { return lease_; }

 private:
  template <class Request>
  void start_here(std::vector<Request>& requests, std::size_t each, std::string_view action);
  platform::RequestOrigin origin() const;
  struct Tokens {
    std::size_t prompt, completion;
  };
  Tokens computed(const platform::Answer& answer) const;  // so far
  platform::RequestOutcome outcome() const;               // its counts so far
  void count();                                           // for the metrics

  Exchange& exchange_;
  platform::Service& service_;
  platform::ModelPool::Lease lease_;  // outlives the answers
  Metrics::OfModel metrics_;
  std::unique_ptr<platform::GovernedRequest> record_;
  std::vector<std::unique_ptr<platform::Answer>> answers_;
  void observe(std::size_t index, const platform::AnswerPiece& piece);  // for the metrics

  bool echo_ = false;  // the prompts are part of the answers
  std::string ping_;
  using Moment = std::chrono::steady_clock::time_point;
  Moment admitted_;
  std::vector<Moment> last_piece_;  // of each answer; the epoch before its first
  std::size_t looked_at_ = 0;
  std::chrono::steady_clock::time_point last_event_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_check_ = std::chrono::steady_clock::now();
};

using base::unix_time;
std::string new_id(std::string_view prefix);  // "chatcmpl-" and 24 random digits

}  // namespace malina::serve
