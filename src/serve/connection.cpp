#include "serve/connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/status.hpp>
#include <exception>
#include <map>

#include "base/error.h"
#include "base/json_text.h"
#include "platform/answer.h"
#include "platform/service.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/target.h"
#include "serve/wire.h"

namespace malina::serve {

namespace {

namespace http = beast::http;
using asio::use_awaitable;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr int kClientClosed = 499;                         // nginx's: nobody is there to be told
constexpr auto kLook = std::chrono::milliseconds(100);     // how often a busy socket is looked at
constexpr auto kCutLook = std::chrono::milliseconds(500);  // how late a cut may be noticed

// What a coroutine of asio gives an error code instead of throwing.
constexpr auto kNoThrow = asio::as_tuple(use_awaitable);

std::string_view reason(unsigned status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

// A client's own id, where it can stand in a header and a log as it is.
bool usable_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

// Ordered, since templates show tools in the order in which they came; so members are bounded.
CheckedBody checked_body(std::string text, const Endpoint& endpoint) {
  constexpr base::JsonLimits kLimits{
      .bytes = std::size_t{1} << 30, .values = 1 << 18, .depth = 64, .members = 1024};
  Json body;
  try {
    body = base::parse_json<Json>(text, "the body", kLimits);
  } catch (const base::Error& error) {
    throw bad_request(error.what(), {}, "invalid_json");
  }
  text = {};  // before it is there twice
  return check_body(std::move(body), endpoint.body);
}

// Has the client closed its side? TLS or not, and whatever bytes are still to be read.
bool peer_closed(int socket) {
  pollfd entry{socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

class Connection final : public Exchange {
 public:
  Connection(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
             ServerState& state)
      : Exchange(state.workers, state.long_work),
        state_(state),
        peer_(address_of(socket)),
        wire_(std::move(socket), std::move(tls)),
        timer_(wire_.get_executor()),
        reader_(wire_, state.limits, state.bodies) {
    state_.readers.insert(&reader_);
    if (state_.draining) reader_.stop();
  }
  ~Connection() override { state_.readers.erase(&reader_); }

  asio::awaitable<void> run();

  asio::awaitable<void> reply(unsigned status, std::string_view type, std::string body) override;
  asio::awaitable<void> begin_stream(std::string_view type) override;
  asio::awaitable<void> write(std::string piece) override;
  asio::awaitable<void> end_stream() override;
  bool began() const override { return began_; }
  Metrics& metrics() override { return state_.metrics; }
  void check_connected() const override {
    if (gone_) throw Disconnected();
    if (state_.cut) throw draining();
  }
  asio::awaitable<void> changed(std::span<const std::unique_ptr<platform::Answer>> answers,
                                std::chrono::milliseconds time) override;
  asio::awaitable<void> pause(std::chrono::milliseconds time) override;
  std::function<void()> waker() override;
  void release_body() override {
    reader_.release_body();
    body_bytes_ = 0;
  }

 private:
  struct Watch {
    bool over = false;
  };

  static asio::ip::address address_of(const asio::ip::tcp::socket& socket);
  asio::awaitable<bool> handshake();
  asio::awaitable<bool> read_header();
  asio::awaitable<void> read_body(const Endpoint& endpoint);
  asio::awaitable<void> one_request();
  asio::awaitable<void> dispatch();
  RequestHead facts();
  asio::awaitable<void> fail(const std::exception_ptr& error);
  asio::awaitable<void> watch(std::shared_ptr<Watch> watch);
  asio::awaitable<void> send(std::string bytes);
  bool ollama() const { return path_.starts_with("/api/"); }
  std::string shown(const ApiError& answer) const;
  void begin_request();
  void conclude(const std::exception_ptr& error);
  void note_refusal(const ApiError& answer);
  void end_request();
  std::string head(unsigned status, std::string_view type, std::optional<std::size_t> length);
  void log_request(Clock::time_point began);

  ServerState& state_;
  const asio::ip::address peer_;
  Wire wire_;
  asio::steady_timer timer_;  // what the endpoint waits by
  RequestReader reader_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);

  // Of the request.
  bool keep_alive_ = false, head_only_ = false, chunked_ = false, old_protocol_ = false;
  bool began_ = false, gone_ = false, woken_ = false;
  unsigned status_ = 0;
  std::string method_, path_, failure_;
  std::string_view route_;  // of the table; "" where none matched
};

asio::ip::address Connection::address_of(const asio::ip::tcp::socket& socket) {
  error_code error;
  return socket.remote_endpoint(error).address();
}

asio::awaitable<void> Connection::run() {
  error_code error;
  wire_.socket().set_option(asio::ip::tcp::no_delay(true), error);
  const int stall = static_cast<int>(std::chrono::milliseconds(state_.limits.write_time).count());
  ::setsockopt(wire_.socket().native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &stall,
               sizeof(stall));
  if (wire_.has_tls()) {
    const bool agreed = co_await handshake();
    if (!agreed) co_return;
  }
  do {
    const bool another = co_await read_header();
    if (!another) break;
    co_await one_request();
  } while (keep_alive_ && !gone_ && !state_.draining);
  if (wire_.has_tls() && !gone_) {  // so that nobody takes the end for a cut
    wire_.tcp().expires_after(std::chrono::seconds(1));
    co_await wire_.tls().async_shutdown(kNoThrow);
  }
  if (!reader_.whole()) co_await reader_.discard();
  wire_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, error);
}

asio::awaitable<bool> Connection::handshake() {
  wire_.tcp().expires_after(state_.limits.header_time);
  const auto [error] =
      co_await wire_.tls().async_handshake(asio::ssl::stream_base::server, kNoThrow);
  co_return !error;
}

// False where there is no further request. What cannot be read as HTTP is answered once, without
// believing any of it.
asio::awaitable<bool> Connection::read_header() {
  keep_alive_ = began_ = head_only_ = false;
  std::exception_ptr error;
  try {
    const bool another = co_await reader_.read_header();
    co_return another;
  } catch (...) {
    error = std::current_exception();
  }
  request_id_ = new_id("req_");
  method_ = path_ = "?";
  headers_.clear();
  try {
    co_await fail(error);
  } catch (const Disconnected&) {
  }
  co_return false;
}

void Connection::begin_request() {
  const std::string_view target = reader_.target();
  method_ = std::string(reader_.method());
  path_ = std::string(target.substr(0, target.find('?')));
  const std::string_view given = reader_.field("x-request-id");
  request_id_ = usable_id(given) ? std::string(given) : new_id("req_");
  old_protocol_ = reader_.is_old();
  keep_alive_ = reader_.keep_alive();
  head_only_ = method_ == "HEAD";
  body_ = Json::object();
  body_bytes_ = 0;
  caller_ = {};
  headers_.clear();
  failure_.clear();
  route_ = {};
  status_ = 0;
  gone_ = false;
}

// Ends the records of answers that did not come to their end in order.
void Connection::conclude(const std::exception_ptr& error) {
  for (Left& left : std::exchange(left_, {})) {
    platform::RequestOutcome outcome = left.counts;
    outcome.outcome = "cancelled";
    outcome.status = kClientClosed;
    if (error) {
      const ApiError answer = api_error(error, request_id_);
      outcome.outcome = outcome_word(answer);
      outcome.status = static_cast<int>(answer.status);
    }
    try {
      left.record->end(outcome, [](std::exception_ptr) {});
    } catch (...) {
      // No memory for a record: the intent without an outcome says as much.
    }
  }
}

// Who is refused is known to the audit too.
void Connection::note_refusal(const ApiError& answer) {
  if (answer.status != 401 && answer.status != 403 && answer.status != 429) return;
  state_.service.refused({.actor = platform::actor(caller_),
                          .source = peer_.to_string(),
                          .action = route_.empty() ? "request" : fmt::format("request {}", route_),
                          .request_id = request_id_,
                          .status = static_cast<int>(answer.status)});
}

// Freeing a document of many values takes a while.
void Connection::end_request() {
  reader_.finish();
  if (is_long()) asio::post(long_work_, [body = std::move(body_)] {});
  body_ = Json::object();
}

asio::awaitable<void> Connection::one_request() {
  const auto began = Clock::now();
  begin_request();
  ++state_.requests;
  std::exception_ptr error;
  try {
    co_await dispatch();
  } catch (const Disconnected&) {
    gone_ = true;
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    try {
      co_await fail(error);
    } catch (const Disconnected&) {
      gone_ = true;
    }
  }
  conclude(error);
  end_request();
  --state_.requests;
  log_request(began);
}

// What the header says. Throws ApiError where it cannot be taken at its word.
RequestHead Connection::facts() {
  reader_.check_header();
  const Target target = parse_target(reader_.target());
  path_ = target.path;
  // RFC 9110, 7.4: an https resource is not given over a connection that anyone can read, unless a
  // proxy that speaks TLS stands before it.
  if (target.https && !wire_.has_tls() && !state_.settings.allow_plaintext)
    throw ApiError{.status = 421,
                   .type = "invalid_request_error",
                   .message = "the target is an https address, and this connection is not"};
  RequestHead head{.method = method_,
                   .path = path_,
                   .host = std::string(reader_.field("host")),
                   .authorization = std::nullopt,
                   .has_origin = reader_.has("origin"),
                   .from_loopback = peer_.is_loopback()};
  // RFC 9112, 3.2.2: then the Host header, which must be there all the same, says nothing.
  if (target.absolute && (!head.host.empty() || old_protocol_)) head.host = target.authority;
  if (reader_.has("authorization")) head.authorization = reader_.field("authorization");
  return head;
}

asio::awaitable<void> Connection::dispatch() {
  Match found = match(facts(), state_.hosts, state_.service, caller_, route_);
  parameter_ = std::move(found.parameter);
  if (found.endpoint->works && state_.draining) throw draining();
  co_await read_body(*found.endpoint);
  const auto watched = std::make_shared<Watch>();
  asio::co_spawn(wire_.get_executor(), watch(watched), asio::detached);
  std::exception_ptr error;
  try {
    co_await found.endpoint->answer(*this, state_.service);
  } catch (...) {
    error = std::current_exception();
  }
  watched->over = true;
  wire_.socket().cancel();
  if (error) std::rethrow_exception(error);
}

asio::awaitable<void> Connection::read_body(const Endpoint& endpoint) {
  if (reader_.wants_go_ahead()) co_await send("HTTP/1.1 100 Continue\r\n\r\n");
  std::string text = co_await reader_.read_body();
  if (!endpoint.has_body) {
    if (!text.empty()) throw bad_request("this route takes no body");
    co_return;
  }
  body_bytes_ = text.size();
  CheckedBody checked = co_await beside([&] { return checked_body(std::move(text), endpoint); });
  body_ = std::move(checked.json);
  std::string ignored;
  for (const std::string& field : checked.ignored) ignored += (ignored.empty() ? "" : ", ") + field;
  if (!ignored.empty()) header("x-malina-ignored", ignored);
}

// Ollama's routes speak of errors as Ollama does.
std::string Connection::shown(const ApiError& answer) const {
  const Json body = ollama() ? Json{{"error", answer.message}} : answer.body();
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What a client is told that gets no answer: as a response, or where that has begun as an event.
asio::awaitable<void> Connection::fail(const std::exception_ptr& error) {
  const ApiError answer = api_error(error, request_id_);
  note_refusal(answer);
  failure_ = answer.cause.empty() ? answer.message : answer.message + ": " + answer.cause;
  if (answer.status == 500) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& cause) {
      failure_ = cause.what();
    } catch (...) {
    }
  }
  if (began_) {  // after the header there is no other way, and no [DONE]
    keep_alive_ = false;
    status_ = answer.status;
    std::string last = shown(answer) + "\n";
    if (!ollama()) last = "data: " + last + "\n";
    co_await write(std::move(last));
    co_await end_stream();
    co_return;
  }
  if (answer.retry_after) header("retry-after", fmt::format("{}", answer.retry_after->count()));
  if (!answer.retry_helps) header("x-should-retry", "false");
  if (!answer.allow.empty()) header("allow", answer.allow);
  if (answer.status == 401) header("www-authenticate", "Bearer");
  if (answer.close || !reader_.whole()) keep_alive_ = false;
  co_await reply(answer.status, "application/json", shown(answer));
}

// Notices, while an answer is made, that the client goes.
asio::awaitable<void> Connection::watch(
    std::shared_ptr<Watch> watched) {  // touches nothing of ours once it is over
  asio::steady_timer look(wire_.get_executor());
  while (!watched->over) {
    const auto [error] = co_await wire_.socket().async_wait(asio::socket_base::wait_read, kNoThrow);
    if (watched->over) co_return;
    if (error || peer_closed(wire_.socket().native_handle())) {
      gone_ = true;
      timer_.cancel();
      co_return;
    }
    look.expires_after(
        kLook);  // there is a further request, or a part of TLS: not ours to read now
    co_await look.async_wait(kNoThrow);
  }
}

asio::awaitable<void> Connection::changed(
    std::span<const std::unique_ptr<platform::Answer>> answers, std::chrono::milliseconds time) {
  check_connected();
  timer_.expires_after(std::min<std::chrono::milliseconds>(time, kCutLook));
  // The listener runs on the engine's thread; the timer is this one's.
  for (const auto& answer : answers)
    answer->on_change([executor = wire_.get_executor(), this, alive = std::weak_ptr<int>(alive_)] {
      asio::post(executor, [this, alive] {
        if (alive.lock()) timer_.cancel();
      });
    });
  co_await timer_.async_wait(kNoThrow);
  for (const auto& answer : answers) answer->on_change({});
  check_connected();
}

asio::awaitable<void> Connection::pause(std::chrono::milliseconds time) {
  check_connected();
  if (!woken_) {
    timer_.expires_after(std::min<std::chrono::milliseconds>(time, kCutLook));
    co_await timer_.async_wait(kNoThrow);
  }
  woken_ = false;
  check_connected();
}

std::function<void()> Connection::waker() {
  return [executor = wire_.get_executor(), this, alive = std::weak_ptr<int>(alive_)] {
    asio::post(executor, [this, alive] {
      if (!alive.lock()) return;
      woken_ = true;
      timer_.cancel();
    });
  };
}

std::string Connection::head(unsigned status, std::string_view type,
                             std::optional<std::size_t> length) {
  status_ = status;
  if (state_.draining) keep_alive_ = false;
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status));
  if (!type.empty()) text += fmt::format("content-type: {}\r\n", type);
  if (length) text += fmt::format("content-length: {}\r\n", *length);
  if (chunked_) text += "transfer-encoding: chunked\r\n";
  text += fmt::format("x-request-id: {}\r\n", request_id_);
  text += "x-content-type-options: nosniff\r\ncache-control: no-store\r\n";
  std::map<std::string, std::string> last;  // of a name: a request may start answers twice
  for (const auto& [name, value] : headers_) last[name] = value;
  for (const auto& [name, value] : last) text += fmt::format("{}: {}\r\n", name, value);
  text += keep_alive_ ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
  return text;
}

asio::awaitable<void> Connection::reply(unsigned status, std::string_view type, std::string body) {
  began_ = true;
  chunked_ = false;
  std::string text = head(status, type, body.size());
  if (!head_only_) text += body;
  co_await send(std::move(text));
}

asio::awaitable<void> Connection::begin_stream(std::string_view type) {
  check_connected();
  began_ = true;
  chunked_ = !old_protocol_;
  if (old_protocol_) keep_alive_ = false;
  co_await send(head(200, type, std::nullopt));
}

asio::awaitable<void> Connection::write(std::string piece) {
  if (gone_) throw Disconnected();
  if (piece.empty()) co_return;
  if (chunked_) piece = fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
  co_await send(std::move(piece));
}

asio::awaitable<void> Connection::end_stream() {
  if (chunked_) co_await send("0\r\n\r\n");
}

asio::awaitable<void> Connection::send(std::string bytes) {
  wire_.tcp().expires_after(state_.limits.write_time);
  const auto [error, size] = co_await asio::async_write(wire_, asio::buffer(bytes), kNoThrow);
  wire_.tcp().expires_never();
  if (error) {
    gone_ = true;
    throw Disconnected();
  }
}

void Connection::log_request(Clock::time_point began) {
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  state_.metrics.request(route_.empty() ? "none" : route_,
                         gone_ ? unsigned{kClientClosed} : status_, seconds);
  state_.log.request({.id = request_id_,
                      .method = method_,
                      .path = path_,
                      .key = caller_.key_id,
                      .tenant = caller_.tenant,
                      .status = gone_ ? unsigned{kClientClosed} : status_,
                      .seconds = seconds,
                      .failure = failure_});
}

}  // namespace

asio::awaitable<void> serve_connection(asio::ip::tcp::socket socket,
                                       std::shared_ptr<asio::ssl::context> tls,
                                       ServerState& state) {
  ++state.connections;
  try {
    Connection connection(std::move(socket), std::move(tls), state);
    co_await connection.run();
  } catch (const std::exception& error) {
    state.log.error(fmt::format("a connection ended: {}", error.what()));
  } catch (...) {
    state.log.error("a connection ended");
  }
  --state.connections;
}

}  // namespace malina::serve
