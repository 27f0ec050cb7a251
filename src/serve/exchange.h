// One request and its response, as an endpoint sees them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "platform/caller.h"
#include "platform/governed_request.h"
#include "serve/field.h"

namespace malina::platform {
class Answer;
}

namespace malina::serve {

class Metrics;

namespace asio = boost::asio;

// The client is gone: ends the request, and there is nobody to tell.
struct Disconnected {};

// On the server's thread only.
//
// GCC 12 miscompiles some co_await expressions: both branches of a conditional operator are
// evaluated, and temporaries of one, or of a braced list, are destroyed twice. What is awaited is
// therefore a plain call, whose arguments were made in statements before.
class Exchange {
 public:
  virtual ~Exchange() = default;

  const platform::Caller& caller() const { return caller_; }
  const std::string& request_id() const { return request_id_; }
  const std::string& parameter() const { return parameter_; }  // of the path, decoded
  const Json& body() const { return body_; }                   // checked; no member is null
  const Json& query() const { return query_; }                 // likewise
  // Of an upload: the type that its header gives, and the next piece of its body, "" at its end.
  virtual std::string_view content_type() const = 0;
  // Of a request that creates something, the name under which it may come again (Idempotency-Key);
  // "" where it gives none. Throws ApiError 400 for one that cannot be.
  virtual std::string idempotency_key() const = 0;
  virtual asio::awaitable<std::string> read_piece() = 0;

  // For the request's line in the log; never what was said.
  void remark(std::string text) { remark_ = std::move(text); }

  // Before the response begins.
  void header(std::string name, std::string value) {
    headers_.emplace_back(std::move(name), std::move(value));
  }

  // The whole response.
  virtual asio::awaitable<void> reply(unsigned status, std::string_view type, std::string body) = 0;
  asio::awaitable<void> reply(const Json& body) {
    return reply(200, "application/json", text_of(body));
  }

  // The whole response, a document that may be large: made, and written as text, on a thread for
  // that.
  template <class Function>
  asio::awaitable<void> reply_made(Function make) {
    std::string text = co_await elsewhere([&] { return text_of(make()); });
    co_await reply(200, "application/json", std::move(text));
  }

  // A response that comes in pieces. Each call waits until the client takes it.
  virtual asio::awaitable<void> begin_stream(std::string_view type) = 0;
  // The same with as many bytes as are told here.
  virtual asio::awaitable<void> begin_bytes(std::string_view type, std::uint64_t bytes) = 0;
  virtual asio::awaitable<void> write(std::string piece) = 0;
  // False: the client asked for the head of the response alone (HEAD), and what is written goes
  // nowhere.
  virtual bool sends_body() const = 0;
  virtual asio::awaitable<void> end_stream() = 0;
  virtual bool began() const = 0;

  // A record whose request did not come to its end in order: it is ended, with these counts, when
  // it is known why.
  void leave(std::unique_ptr<platform::GovernedRequest> record,
             const platform::RequestOutcome& counts) {
    left_.push_back({std::move(record), counts});
  }

  virtual Metrics& metrics() = 0;
  // Throws Disconnected where the client has gone.
  virtual void check_connected() const = 0;
  // Waits for something new in one of the answers, for the time at most, or until the client goes
  // (Disconnected).
  virtual asio::awaitable<void> changed(std::span<const std::unique_ptr<platform::Answer>> answers,
                                        std::chrono::milliseconds time) = 0;
  // Until the time is over, a waker() is called or the client goes (Disconnected).
  virtual asio::awaitable<void> pause(std::chrono::milliseconds time) = 0;
  // Ends the pause() that is under way, or the next one. Safe on any thread, at any time.
  virtual std::function<void()> waker() = 0;

  // Runs what blocks or takes long on a thread for that, and returns what it returns. What a large
  // body asks for comes after what others ask for, so that memory is taken for one of them at a
  // time.
  template <class Function>
  asio::awaitable<std::invoke_result_t<Function>> elsewhere(Function function) {
    using Result = std::invoke_result_t<Function>;
    return asio::co_spawn(is_long() ? long_work_ : workers_,
                          call<Result, Function>(std::move(function)), asio::use_awaitable);
  }
  // Runs what takes as long as the body is: here where that is short, or else elsewhere().
  template <class Function>
  asio::awaitable<std::invoke_result_t<Function>> beside(Function function) {
    using Result = std::invoke_result_t<Function>;
    if (body_bytes_ >= kBeside) return elsewhere(std::move(function));
    return call<Result, Function>(std::move(function));
  }
  // A member of the body, which has it no more; null where there is none.
  Json take(const char* member) {
    const auto found = body_.find(member);
    return found == body_.end() ? Json() : std::move(*found);
  }
  // Of the body only what is small is still needed: what was held for it is free for others.
  virtual void release_body() = 0;

 protected:
  static constexpr std::size_t kBeside = 64 * 1024, kLong = 1024 * 1024;  // bytes of a body

  Exchange(asio::any_io_executor workers, asio::any_io_executor long_work)
      : workers_(std::move(workers)), long_work_(std::move(long_work)) {}
  bool is_long() const { return body_bytes_ >= kLong; }

  asio::any_io_executor workers_, long_work_;
  std::size_t body_bytes_ = 0;  // as it came; 0 once it is released
  platform::Caller caller_;
  std::string request_id_, parameter_, remark_;
  Json body_, query_;
  std::vector<std::pair<std::string, std::string>> headers_;
  struct Left {
    std::unique_ptr<platform::GovernedRequest> record;
    platform::RequestOutcome counts;
  };
  std::vector<Left> left_;

 private:
  static std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  template <class Result, class Function>
  static asio::awaitable<Result> call(Function function) {
    co_return function();
  }
};

}  // namespace malina::serve
