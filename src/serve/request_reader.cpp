#include "serve/request_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/read.hpp>
#include <iterator>

#include "serve/exchange.h"

namespace malina::serve {

namespace {

namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t kRead = 16 * 1024;
constexpr std::size_t kPiece = 256 * 1024;       // of a body that is read in pieces
constexpr std::size_t kFirstRead = 4 * 1024;     // what a connection that waits holds
constexpr std::size_t kMostDiscarded = 1 << 20;  // of a body that nobody reads

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }
beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

bool is_end(const error_code& error) {
  return error == http::error::end_of_stream || error == asio::error::operation_aborted ||
         error == asio::error::connection_reset;
}

ApiError closing(ApiError error) {
  error.close = true;
  return error;
}

ApiError too_slow() {
  return {
      .status = 408, .type = "timeout_error", .message = "the body took too long", .close = true};
}

}  // namespace

std::string_view RequestReader::field(std::string_view name) const {
  return view(parser_->get()[view(name)]);
}

std::size_t RequestReader::count(std::string_view name) const {
  return parser_->get().count(view(name));
}

std::string_view RequestReader::method() const { return view(parser_->get().method_string()); }
std::string_view RequestReader::target() const { return view(parser_->get().target()); }

ApiError RequestReader::too_large(std::uint64_t most) const {
  return {.status = 413,
          .type = "request_too_large",
          .message =
              fmt::format("the body is longer than {} bytes ({})", most,
                          most == limits_.upload_bytes ? "--max-file" : "--max-body, --max-bodies"),
          .close = true};
}

ApiError RequestReader::no_memory() const {
  return {.status = 503,
          .type = "overloaded_error",
          .code = "overloaded",
          .message = "the bodies of other requests take the memory that there is for them",
          .retry_after = std::chrono::seconds(1),
          .close = true};
}

asio::awaitable<bool> RequestReader::read_header() {
  whole_ = false;
  body_limit_.reset();
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
  parser_->body_limit(boost::none);  // until it is known who reads it: limit_body()
  buffer_.max_size(kMostBuffered);
  if (buffer_.size() == 0) {
    if (stopped_) co_return false;
    wire_.tcp().expires_after(first_ ? limits_.header_time : limits_.idle_time);
    reading_ = true;
    const auto [error, size] =
        co_await wire_.async_read_some(buffer_.prepare(kFirstRead), kNoThrow);
    reading_ = false;
    if (error) co_return false;
    buffer_.commit(size);
  }
  if (stopped_) co_return false;
  first_ = false;
  wire_.tcp().expires_after(limits_.header_time);
  reading_ = true;
  const auto [error, size] = co_await http::async_read_header(wire_, buffer_, *parser_, kNoThrow);
  reading_ = false;
  if (is_end(error) || error == beast::error::timeout) co_return false;
  if (error == http::error::header_limit)
    throw ApiError{
        .status = 431,
        .type = "invalid_request_error",
        .message = fmt::format("the header is longer than {} bytes", limits_.header_bytes),
        .close = true};
  if (error) throw closing(bad_request("the request is not valid HTTP: " + error.message()));
  if (!held_.set(buffer_.capacity())) throw no_memory();
  co_return true;
}

void RequestReader::check_header() const {
  const auto& request = parser_->get();
  const auto fields = static_cast<std::size_t>(std::distance(request.begin(), request.end()));
  if (fields > limits_.header_fields)
    throw ApiError{
        .status = 431,
        .type = "invalid_request_error",
        .message = fmt::format("the header has more than {} fields", limits_.header_fields),
        .close = true};
  // RFC 9112, 6.1: what two readers could take for bodies of different lengths ends the connection.
  if (has("transfer-encoding") &&
      (count("transfer-encoding") > 1 || !beast::iequals(request["transfer-encoding"], "chunked") ||
       has("content-length") || is_old()))
    throw closing(bad_request("Transfer-Encoding may be 'chunked' alone, without Content-Length"));
  if (count("host") > 1 || count("authorization") > 1)
    throw bad_request("a header that may come once came twice");
}

bool RequestReader::wants_go_ahead() const {
  // RFC 9110, 10.1.1: of an HTTP/1.0 request it says nothing.
  return !parser_->is_done() && !is_old() && field("expect").starts_with("100-");
}

// Throws where so much is announced; what comes in chunks is measured as it comes.
void RequestReader::limit_body(std::uint64_t most) {
  if (body_limit_) return;
  body_limit_ = most;
  if (const auto length = parser_->content_length(); length && *length > most)
    throw too_large(most);
  parser_->body_limit(most);
}

// Beast's own expiry closes the connection, and then nobody can be told.
void RequestReader::limit_time(std::chrono::milliseconds time) {
  wire_.tcp().expires_never();
  late_ = false;
  timer_.expires_after(time);
  timer_.async_wait([self = self_](const error_code& error) {
    if (error || *self == nullptr) return;
    (*self)->late_ = true;
    if ((*self)->reading_) (*self)->wire_.tcp().cancel();
  });
}

asio::awaitable<void> RequestReader::read_some() {
  if (stopped_) throw draining();
  if (late_) throw too_slow();
  reading_ = true;
  const auto [error, size] = co_await http::async_read_some(wire_, buffer_, *parser_, kNoThrow);
  reading_ = false;
  if (stopped_ && error == asio::error::operation_aborted) throw draining();
  if (error == http::error::body_limit) throw too_large(*body_limit_);
  if (late_ && error == asio::error::operation_aborted) throw too_slow();
  if (error == http::error::partial_message || error == asio::error::connection_reset)
    throw Disconnected();
  if (error) throw closing(bad_request("the body is not valid HTTP: " + error.message()));
}

asio::awaitable<std::string> RequestReader::read_body() {
  limit_body(limits_.body_bytes);
  limit_time(limits_.body_time);
  while (!parser_->is_done()) {
    co_await read_some();
    // As it comes: what was only announced holds nothing.
    if (held_.set(buffer_.capacity()) && body_held_.set(parser_->get().body().size() * kBodyCost))
      continue;
    // At once, or the others that are read meanwhile would be refused for it too.
    parser_->get().body() = {};
    body_held_.set(0);
    throw no_memory();
  }
  timer_.cancel();
  whole_ = true;
  co_return std::move(parser_->get().body());
}

// The time is for each piece: a large file may take longer than a request, but not come to a stop.
asio::awaitable<std::string> RequestReader::read_piece() {
  limit_body(limits_.upload_bytes);
  limit_time(limits_.body_time);
  if (!held_.set(kMostBuffered) || !body_held_.set(2 * kPiece)) throw no_memory();
  std::string piece;
  while (!parser_->is_done() && piece.size() < kPiece) {
    co_await read_some();
    std::string& body = parser_->get().body();
    piece += body;  // copied: the body has room for all that was announced
    body.clear();
  }
  timer_.cancel();
  whole_ = parser_->is_done();
  co_return piece;
}

void RequestReader::finish() {
  timer_.cancel();
  body_held_.set(0);
  parser_.reset();
  if (buffer_.size() == 0 || !whole_) buffer_ = beast::flat_buffer();  // nothing of it is used
  held_.set(buffer_.capacity());
}

asio::awaitable<void> RequestReader::discard() {
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

void RequestReader::stop() {
  stopped_ = true;
  if (reading_) wire_.tcp().cancel();
}

}  // namespace malina::serve
