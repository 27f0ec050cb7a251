#include "serve/response_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/status.hpp>
#include <map>

#include "serve/api_error.h"
#include "serve/exchange.h"

namespace malina::serve {

namespace {

constexpr auto kLook = std::chrono::milliseconds(50);  // for room in the ledger
// What is not counted: so much every answer has.
constexpr std::size_t kSmall = 16 * 1024;

constexpr std::string_view kGoAhead = "HTTP/1.1 100 Continue\r\n\r\n", kLastChunk = "0\r\n\r\n";

std::string_view reason(unsigned status) {
  const auto text = beast::http::obsolete_reason(static_cast<beast::http::status>(status));
  return {text.data(), text.size()};
}

}  // namespace

void ResponseWriter::begin_request(bool head_only, bool old_protocol) {
  head_only_ = head_only;
  old_protocol_ = old_protocol;
  began_ = chunked_ = false;
  held_.set(0);
}

std::string ResponseWriter::text_of(const Head& head, std::optional<std::size_t> length) const {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", head.status, reason(head.status));
  if (!head.type.empty()) text += fmt::format("content-type: {}\r\n", head.type);
  if (length) text += fmt::format("content-length: {}\r\n", *length);
  if (chunked_) text += "transfer-encoding: chunked\r\n";
  text += fmt::format("x-request-id: {}\r\n", head.request_id);
  text += "x-content-type-options: nosniff\r\ncache-control: no-store\r\n";
  std::map<std::string, std::string> last;  // of a name: a request may start answers twice
  if (head.more != nullptr)
    for (const auto& [name, value] : *head.more) last[name] = value;
  for (const auto& [name, value] : last) text += fmt::format("{}: {}\r\n", name, value);
  text += head.keep_alive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
  return text;
}

asio::awaitable<void> ResponseWriter::go_ahead() { co_await send(kGoAhead); }

asio::awaitable<void> ResponseWriter::whole(const Head& head, std::string body) {
  const std::size_t length = body.size();
  if (head_only_) body = {};
  if (body.size() > kSmall) co_await hold(body.size());
  began_ = true;
  std::string text = text_of(head, length);
  if (body.size() <= kSmall) {  // in one packet
    text += body;
    body = {};
  }
  co_await send(text);
  co_await send(body);
  body = {};
  held_.set(0);
}

// One that is larger than all that there is waits until it is alone.
asio::awaitable<void> ResponseWriter::hold(std::size_t bytes) {
  const std::uint64_t counted = std::min<std::uint64_t>(bytes, held_.most());
  const auto until = std::chrono::steady_clock::now() + stall_;
  asio::steady_timer timer(wire_.get_executor());
  while (!held_.set(counted)) {
    if (std::chrono::steady_clock::now() >= until)
      throw ApiError{.status = 503,
                     .type = "overloaded_error",
                     .code = "overloaded",
                     .message =
                         "the answers of other requests, which are taken slowly, leave no "
                         "memory for this one",
                     .retry_after = std::chrono::seconds(5)};
    timer.expires_after(kLook);
    co_await timer.async_wait(kNoThrow);
  }
}

asio::awaitable<void> ResponseWriter::begin_pieces(const Head& head) {
  began_ = true;
  chunked_ = !old_protocol_;
  const std::string text = text_of(head, std::nullopt);
  co_await send(text);
}

asio::awaitable<void> ResponseWriter::begin_bytes(const Head& head, std::uint64_t bytes) {
  began_ = true;
  chunked_ = false;
  const std::string text = text_of(head, bytes);
  co_await send(text);
}

asio::awaitable<void> ResponseWriter::piece(std::string bytes) {
  if (bytes.empty() || head_only_) co_return;
  if (chunked_) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  co_await send(bytes);
}

asio::awaitable<void> ResponseWriter::end_pieces() {
  if (chunked_ && !head_only_) co_await send(kLastChunk);
}

asio::awaitable<void> ResponseWriter::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, kSlice);
    bytes.remove_prefix(slice.size());
    wire_.tcp().expires_after(stall_);
    const auto [error, size] = co_await asio::async_write(wire_, asio::buffer(slice), kNoThrow);
    wire_.tcp().expires_never();
    if (error) throw Disconnected();
  }
}

}  // namespace malina::serve
