#include "serve/connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <exception>

#include "platform/service.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/client_watch.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/query.h"
#include "serve/recorded.h"
#include "serve/refusal.h"
#include "serve/request_header.h"
#include "serve/response_writer.h"
#include "serve/target.h"
#include "serve/wire.h"

namespace malina::serve {

namespace {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

class Connection final : public Exchange {
 public:
  Connection(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
             ServerState& state)
      : Exchange(state.workers, state.long_work),
        state_(state),
        peer_(address_of(socket)),
        wire_(std::move(socket), std::move(tls)),
        reader_(wire_, state.limits, state.bodies),
        writer_(wire_, state.limits.write_time, state.bodies),
        watch_(wire_) {
    state_.readers.insert(&reader_);
    if (state_.draining) reader_.stop();
  }
  ~Connection() override { state_.readers.erase(&reader_); }

  asio::awaitable<void> run();

  asio::awaitable<void> reply(unsigned status, std::string_view type, std::string body) override;
  std::string_view content_type() const override { return reader_.field("content-type"); }
  std::string idempotency_key() const override { return idempotency_key_of(reader_); }
  asio::awaitable<std::string> read_piece() override;
  asio::awaitable<void> begin_stream(std::string_view type) override;
  asio::awaitable<void> begin_bytes(std::string_view type, std::uint64_t bytes) override;
  asio::awaitable<void> write(std::string piece) override;
  asio::awaitable<void> end_stream() override { return writer_.end_pieces(); }
  bool began() const override { return writer_.began(); }
  bool sends_body() const override { return method_ != "HEAD"; }
  Metrics& metrics() override { return state_.metrics; }
  void check_connected() const override {
    if (gone()) throw Disconnected();
    if (state_.cut) throw draining();
  }
  asio::awaitable<void> changed(std::span<const std::unique_ptr<platform::Answer>> answers,
                                std::chrono::milliseconds time) override;
  asio::awaitable<void> pause(std::chrono::milliseconds time) override;
  std::function<void()> waker() override { return watch_.waker(); }
  void release_body() override {
    reader_.release_body();
    body_bytes_ = 0;
  }
  void drop_body();

 private:
  static asio::ip::address address_of(const asio::ip::tcp::socket& socket);
  asio::awaitable<bool> handshake();
  asio::awaitable<bool> read_header();
  asio::awaitable<void> read_body(const Endpoint& endpoint);
  asio::awaitable<void> one_request();
  asio::awaitable<void> dispatch();
  RequestHead facts();
  asio::awaitable<void> fail(const std::exception_ptr& error);
  bool gone() const { return gone_ || watch_.gone(); }
  void begin_request();
  void conclude(const std::exception_ptr& error);
  void note_refusal(const ApiError& answer);
  void end_request();
  ResponseWriter::Head head(unsigned status, std::string_view type);
  void log_request(Clock::time_point began);

  ServerState& state_;
  const asio::ip::address peer_;
  Wire wire_;
  RequestReader reader_;
  ResponseWriter writer_;
  ClientWatch watch_;

  // Of the request.
  bool keep_alive_ = false;
  bool gone_ = false;  // as a write said
  bool told_length_ = false, went_ahead_ = false;
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
  } while (keep_alive_ && !gone() && !state_.draining);
  if (wire_.has_tls() && !gone()) {  // so that nobody takes the end for a cut
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
  keep_alive_ = false;
  writer_.begin_request(false, false);
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
  request_id_ = request_id_of(reader_);
  writer_.begin_request(method_ == "HEAD", reader_.is_old());
  keep_alive_ = reader_.keep_alive();
  body_ = Json::object();
  query_ = Json::object();
  body_bytes_ = 0;
  told_length_ = went_ahead_ = false;
  caller_ = {};
  headers_.clear();
  failure_.clear();
  remark_.clear();
  route_ = {};
  status_ = 0;
  gone_ = false;
}

// Ends the records of answers that did not come to their end in order.
void Connection::conclude(const std::exception_ptr& error) {
  std::optional<ApiError> answer;
  if (error) answer = api_error(error, request_id_);
  for (Left& left : std::exchange(left_, {})) end_early(*left.record, left.counts, answer);
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
void Connection::drop_body() {
  if (is_long()) asio::post(long_work_, [body = std::move(body_)] {});
  body_ = Json::object();
  release_body();
}

void Connection::end_request() {
  drop_body();
  reader_.finish();
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
    } catch (...) {  // the client is gone, or there is no memory for the answer: it ends here
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
  return request_head(reader_, target,
                      {.private_way = wire_.has_tls() || state_.settings.allow_plaintext,
                       .from_loopback = peer_.is_loopback()});
}

asio::awaitable<void> Connection::dispatch() {
  Match found = match(facts(), state_.hosts, state_.service, caller_, route_);
  parameter_ = std::move(found.parameter);
  if (found.endpoint->works && state_.draining) throw draining();
  query_ = checked_query(reader_.target(), found.endpoint->query);
  if (!found.endpoint->upload) co_await read_body(*found.endpoint);
  watch_.begin();
  std::exception_ptr error;
  try {
    co_await found.endpoint->answer(*this, state_.service);
  } catch (...) {
    error = std::current_exception();
  }
  watch_.end();
  if (error) std::rethrow_exception(error);
}

asio::awaitable<void> Connection::read_body(const Endpoint& endpoint) {
  if (reader_.wants_go_ahead()) co_await writer_.go_ahead();
  std::string text = co_await reader_.read_body();
  if (!endpoint.has_body) {
    if (!text.empty()) throw bad_request("this route takes no body");
    co_return;
  }
  body_bytes_ = text.size();
  CheckedBody checked = co_await beside([&] { return parse_body(std::move(text), endpoint.body); });
  body_ = std::move(checked.json);
  std::string ignored;
  for (const std::string& field : checked.ignored) ignored += (ignored.empty() ? "" : ", ") + field;
  if (!ignored.empty()) header("x-malina-ignored", ignored);
}

asio::awaitable<std::string> Connection::read_piece() {
  check_connected();
  if (!went_ahead_ && reader_.wants_go_ahead()) co_await writer_.go_ahead();
  went_ahead_ = true;
  std::string piece = co_await reader_.read_piece();
  co_return piece;
}

// What a client is told that gets no answer: as a response, or where that has begun as an event.
asio::awaitable<void> Connection::fail(const std::exception_ptr& error) {
  const ApiError answer = api_error(error, request_id_);
  note_refusal(answer);
  failure_ = log_text(answer, error);
  if (writer_.began()) {  // after the header there is no other way, and no [DONE]
    keep_alive_ = false;
    status_ = answer.status;
    if (told_length_) co_return;  // the client sees that bytes are missing
    co_await write(error_event(answer, error_form(path_)));
    co_await end_stream();
    co_return;
  }
  for (auto& [name, value] : error_fields(answer)) header(name, value);
  try {
    std::rethrow_exception(error);
  } catch (const platform::QuotaError& refusal) {
    show_quota(*this, refusal.verdict());
  } catch (...) {
  }
  if (answer.close || !reader_.whole()) keep_alive_ = false;
  co_await reply(answer.status, "application/json", error_body(answer, error_form(path_)));
}

asio::awaitable<void> Connection::changed(
    std::span<const std::unique_ptr<platform::Answer>> answers, std::chrono::milliseconds time) {
  check_connected();
  co_await watch_.changed(answers, time);
  check_connected();
}

asio::awaitable<void> Connection::pause(std::chrono::milliseconds time) {
  check_connected();
  co_await watch_.pause(time);
  check_connected();
}

ResponseWriter::Head Connection::head(unsigned status, std::string_view type) {
  status_ = status;
  if (state_.draining) keep_alive_ = false;
  return {.status = status,
          .type = type,
          .request_id = request_id_,
          .more = &headers_,
          .keep_alive = keep_alive_};
}

asio::awaitable<void> Connection::reply(unsigned status, std::string_view type, std::string body) {
  drop_body();  // a client that takes its answer slowly holds that alone
  const ResponseWriter::Head answer = head(status, type);
  co_await writer_.whole(answer, std::move(body));
}

asio::awaitable<void> Connection::begin_stream(std::string_view type) {
  check_connected();
  if (reader_.is_old()) keep_alive_ = false;
  const ResponseWriter::Head answer = head(200, type);
  co_await writer_.begin_pieces(answer);
}

asio::awaitable<void> Connection::begin_bytes(std::string_view type, std::uint64_t bytes) {
  check_connected();
  told_length_ = true;
  const ResponseWriter::Head answer = head(200, type);
  co_await writer_.begin_bytes(answer, bytes);
}

asio::awaitable<void> Connection::write(std::string piece) {
  if (gone()) throw Disconnected();
  co_await writer_.piece(std::move(piece));
}

void Connection::log_request(Clock::time_point began) {
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  state_.metrics.request(route_.empty() ? "none" : route_, gone() ? kClientClosed : status_,
                         seconds);
  state_.log.request({.id = request_id_,
                      .method = method_,
                      .path = path_,
                      .key = caller_.key_id,
                      .tenant = caller_.tenant,
                      .status = gone() ? kClientClosed : status_,
                      .seconds = seconds,
                      .failure = failure_.empty() ? remark_ : failure_});
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
