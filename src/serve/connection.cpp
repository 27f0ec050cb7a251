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
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <exception>
#include <iterator>

#include "base/error.h"
#include "base/json_text.h"
#include "platform/answer.h"
#include "platform/service.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/wire.h"

namespace malina::serve {

namespace {

namespace http = beast::http;
using asio::use_awaitable;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Parser = http::request_parser<http::string_body>;

constexpr std::size_t kRead = 16 * 1024;
constexpr auto kLook = std::chrono::milliseconds(100);     // how often a busy socket is looked at
constexpr auto kCutLook = std::chrono::milliseconds(500);  // how late a cut may be noticed
constexpr std::size_t kElsewhere = 64 * 1024;  // bytes of a body that is not parsed between others
constexpr std::size_t kMostDiscarded = 1 << 20;  // of a body that nobody reads

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

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// Has the client closed its side? TLS or not, and whatever bytes are still to be read.
bool peer_closed(int socket) {
  pollfd entry{socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

class Connection final : public Exchange {
 public:
  Connection(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
             ServerState& state)
      : Exchange(state.workers),
        state_(state),
        loopback_(from_loopback(socket)),
        wire_(std::move(socket), std::move(tls)),
        timer_(wire_.get_executor()) {}

  asio::awaitable<void> run();

  asio::awaitable<void> reply(unsigned status, std::string_view type, std::string body) override;
  asio::awaitable<void> begin_stream(std::string_view type) override;
  asio::awaitable<void> write(std::string piece) override;
  asio::awaitable<void> end_stream() override;
  bool began() const override { return began_; }
  Metrics& metrics() override { return state_.metrics; }
  void check_connected() const override {
    if (gone_) throw Disconnected();
    if (state_.cut) throw ending();
  }
  asio::awaitable<void> changed(std::span<const std::unique_ptr<platform::Answer>> answers,
                                std::chrono::milliseconds time) override;
  asio::awaitable<void> pause(std::chrono::milliseconds time) override;

 private:
  struct Watch {
    bool over = false;
  };

  static bool from_loopback(const asio::ip::tcp::socket& socket);
  static ApiError ending() {
    return {.status = 503,
            .type = "overloaded_error",
            .code = "draining",
            .message = "the server is stopping",
            .retry_after = std::chrono::seconds(5)};
  }
  ApiError too_large() const {
    return {.status = 413,
            .type = "request_too_large",
            .message = fmt::format("the body is longer than {} bytes (--max-body)",
                                   state_.limits.body_bytes),
            .close = true};
  }
  asio::awaitable<bool> handshake();
  asio::awaitable<bool> read_header(Parser& parser);
  asio::awaitable<void> read_body(Parser& parser, const Endpoint& endpoint);
  asio::awaitable<void> one_request(Parser& parser);
  asio::awaitable<void> dispatch(Parser& parser);
  asio::awaitable<void> fail(const std::exception_ptr& error);
  asio::awaitable<void> watch(std::shared_ptr<Watch> watch);
  asio::awaitable<void> send(std::string bytes);
  asio::awaitable<void> linger();
  bool ollama() const { return path_.starts_with("/api/"); }
  std::string shown(const ApiError& answer) const;
  void begin_request(const Parser& parser);
  std::string head(unsigned status, std::string_view type, std::optional<std::size_t> length);
  void log_request(Clock::time_point began);

  ServerState& state_;
  const bool loopback_;
  Wire wire_;
  asio::steady_timer timer_;  // what the endpoint waits by
  beast::flat_buffer buffer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);

  // Of the request.
  bool keep_alive_ = false, head_only_ = false, chunked_ = false, old_protocol_ = false;
  bool began_ = false, whole_body_read_ = false, gone_ = false;
  unsigned status_ = 0;
  std::string method_, path_, failure_;
  std::string_view route_;  // of the table; "" where none matched
};

bool Connection::from_loopback(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto peer = socket.remote_endpoint(error);
  return !error && peer.address().is_loopback();
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
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(state_.limits.header_bytes));
    parser.body_limit(state_.limits.body_bytes);
    const bool another = co_await read_header(parser);
    if (!another) break;
    co_await one_request(parser);
  } while (keep_alive_ && !gone_ && !state_.draining);
  if (wire_.has_tls() && !gone_) {  // so that nobody takes the end for a cut
    wire_.tcp().expires_after(std::chrono::seconds(1));
    co_await wire_.tls().async_shutdown(kNoThrow);
  }
  if (!whole_body_read_) co_await linger();
  wire_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, error);
}

asio::awaitable<bool> Connection::handshake() {
  wire_.tcp().expires_after(state_.limits.header_time);
  const auto [error] =
      co_await wire_.tls().async_handshake(asio::ssl::stream_base::server, kNoThrow);
  co_return !error;
}

// False where there is no further request: the client closed, or was too slow to begin one.
asio::awaitable<bool> Connection::read_header(Parser& parser) {
  keep_alive_ = false;
  began_ = whole_body_read_ = head_only_ = false;
  if (buffer_.size() == 0) {
    wire_.tcp().expires_after(state_.limits.idle_time);
    const auto [error, size] = co_await wire_.async_read_some(buffer_.prepare(kRead), kNoThrow);
    if (error) co_return false;
    buffer_.commit(size);
  }
  wire_.tcp().expires_after(state_.limits.header_time);
  const auto [error, size] = co_await http::async_read_header(wire_, buffer_, parser, kNoThrow);
  if (!error) co_return true;
  if (error == http::error::end_of_stream || error == asio::error::operation_aborted ||
      error == asio::error::connection_reset)
    co_return false;
  // What cannot be read as HTTP is answered once, without believing any of it.
  request_id_ = new_id("req_");
  method_ = path_ = "?";
  headers_.clear();
  ApiError answer = bad_request("the request is not valid HTTP: " + error.message());
  if (error == http::error::header_limit) {
    answer.status = 431;
    answer.message = fmt::format("the header is longer than {} bytes", state_.limits.header_bytes);
  }
  if (error == http::error::body_limit) answer = too_large();
  if (error == beast::error::timeout)
    answer = {.status = 408, .type = "timeout_error", .message = "the header took too long"};
  answer.close = true;
  try {
    co_await fail(std::make_exception_ptr(answer));
  } catch (const Disconnected&) {
  }
  co_return false;
}

void Connection::begin_request(const Parser& parser) {
  const auto& request = parser.get();
  const std::string_view target = view(request.target());
  method_ = std::string(view(request.method_string()));
  path_ = std::string(target.substr(0, target.find('?')));
  const std::string_view given = view(request["x-request-id"]);
  request_id_ = usable_id(given) ? std::string(given) : new_id("req_");
  old_protocol_ = request.version() < 11;
  keep_alive_ = request.keep_alive();
  head_only_ = method_ == "HEAD";
  body_ = Json::object();
  caller_ = {};
  headers_.clear();
  failure_.clear();
  route_ = {};
  status_ = 0;
  gone_ = false;
}

asio::awaitable<void> Connection::one_request(Parser& parser) {
  const auto began = Clock::now();
  begin_request(parser);
  ++state_.requests;
  std::exception_ptr error;
  try {
    co_await dispatch(parser);
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
  --state_.requests;
  log_request(began);
}

asio::awaitable<void> Connection::dispatch(Parser& parser) {
  const auto& request = parser.get();
  const auto fields = static_cast<std::size_t>(std::distance(request.begin(), request.end()));
  if (fields > state_.limits.header_fields)
    throw ApiError{
        .status = 431,
        .type = "invalid_request_error",
        .message = fmt::format("the header has more than {} fields", state_.limits.header_fields),
        .close = true};
  RequestHead facts{.method = method_,
                    .path = path_,
                    .host = view(request["host"]),
                    .authorization = std::nullopt,
                    .has_origin = request.find("origin") != request.end(),
                    .from_loopback = loopback_};
  if (request.find("authorization") != request.end())
    facts.authorization = view(request["authorization"]);
  // RFC 9112, 6.1: what two readers could take for bodies of different lengths ends the connection.
  if (const auto coding = request.find("transfer-encoding");
      coding != request.end() &&
      (request.count("transfer-encoding") > 1 || !beast::iequals(coding->value(), "chunked") ||
       request.find("content-length") != request.end() || old_protocol_)) {
    ApiError answer =
        bad_request("Transfer-Encoding may be 'chunked' alone, without Content-Length");
    answer.close = true;
    throw answer;
  }
  if (request.count("host") > 1 || request.count("authorization") > 1)
    throw bad_request("a header that may come once came twice");
  Match found = match(facts, state_.hosts, state_.service);
  caller_ = std::move(found.caller);
  route_ = found.endpoint->path;
  parameter_ = std::move(found.parameter);
  if (found.endpoint->works && state_.draining) throw ending();
  co_await read_body(parser, *found.endpoint);
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

asio::awaitable<void> Connection::read_body(Parser& parser, const Endpoint& endpoint) {
  if (!parser.is_done()) {
    if (view(parser.get()["expect"]).starts_with("100-"))
      co_await send("HTTP/1.1 100 Continue\r\n\r\n");
    wire_.tcp().expires_after(state_.limits.body_time);
    const auto [error, size] = co_await http::async_read(wire_, buffer_, parser, kNoThrow);
    if (error == http::error::body_limit) throw too_large();
    if (error == beast::error::timeout)
      throw ApiError{.status = 408,
                     .type = "timeout_error",
                     .message = "the body took too long",
                     .close = true};
    if (error == http::error::partial_message || error == asio::error::connection_reset)
      throw Disconnected();
    if (error) {
      ApiError answer = bad_request("the body is not valid HTTP: " + error.message());
      answer.close = true;
      throw answer;
    }
  }
  whole_body_read_ = true;
  const std::string& text = parser.get().body();
  if (!endpoint.has_body) {
    if (!text.empty()) throw bad_request("this route takes no body");
    co_return;
  }
  // Ordered, since templates show tools in the order in which they came; so members are bounded.
  constexpr base::JsonLimits kLimits{
      .bytes = std::size_t{1} << 30, .values = 1 << 18, .depth = 64, .members = 1024};
  Json body;
  try {
    // Not as one expression: GCC 12 awaits both branches of a conditional operator.
    if (text.size() < kElsewhere)
      body = base::parse_json<Json>(text, "the body", kLimits);
    else
      body = co_await elsewhere([&] { return base::parse_json<Json>(text, "the body", kLimits); });
  } catch (const base::Error& error) {
    throw bad_request(error.what(), {}, "invalid_json");
  }
  CheckedBody checked = check_body(std::move(body), endpoint.body);
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
  failure_ = answer.message;
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
  if (answer.close || !whole_body_read_) keep_alive_ = false;
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
  timer_.expires_after(time);
  co_await timer_.async_wait(kNoThrow);
  check_connected();
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
  for (const auto& [name, value] : headers_) text += fmt::format("{}: {}\r\n", name, value);
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

// Reads what the client still sends, for a moment: closed at once, it would not see the answer.
asio::awaitable<void> Connection::linger() {
  error_code error;
  wire_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
  wire_.tcp().expires_after(std::chrono::seconds(1));
  std::size_t discarded = 0;
  std::string scrap(kRead, '\0');
  while (discarded < kMostDiscarded) {
    const auto [failed, size] = co_await wire_.async_read_some(asio::buffer(scrap), kNoThrow);
    if (failed) break;
    discarded += size;
  }
}

void Connection::log_request(Clock::time_point began) {
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  state_.metrics.request(route_.empty() ? "none" : route_, gone_ ? 499 : status_, seconds);
  state_.log.request({.id = request_id_,
                      .method = method_,
                      .path = path_,
                      .key = caller_.key_id,
                      .tenant = caller_.tenant,
                      .status = gone_ ? 499 : status_,
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
