// Requests as they come over a connection: a header, then its body, with limits of size, time and
// memory on each.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "serve/api_error.h"
#include "serve/body_ledger.h"
#include "serve/body_text.h"
#include "serve/wire.h"

namespace malina::serve {

// Limits of reference/trust.md, R18 and section 5.
struct ConnectionLimits {
  std::size_t header_bytes = 32 * 1024;
  std::size_t header_fields = 100;
  std::size_t body_bytes = 0;
  std::uint64_t upload_bytes = 0;  // of a body that is read in pieces
  // body_time: of a whole body, or of each piece of one that is read in pieces. idle_time: between
  // two requests; a new connection has header_time to begin.
  std::chrono::milliseconds header_time{10000}, body_time{30000}, idle_time{60000};
  std::chrono::seconds write_time{30};
};

// What a byte of a body counts in the ledger: itself, the document it is read into, and what a
// request is made of that (bench/serve_bodies measures it).
inline constexpr std::size_t kBodyCost = 4;
// Bytes that are read from a connection at most before they are taken, of a header or a body.
inline constexpr std::size_t kMostBuffered = 64 * 1024;

// On the server's thread only; the wire, the limits and the ledger outlive it.
class RequestReader {
 public:
  RequestReader(Wire& wire, const ConnectionLimits& limits, BodyLedger& ledger)
      : wire_(wire),
        limits_(limits),
        held_(ledger),
        body_held_(ledger),
        timer_(wire.tcp().get_executor()) {}
  ~RequestReader() { *self_ = nullptr; }
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // The next one. False where there is none: the client closed, did not begin one or end its header
  // in time, or stop() was called. Throws ApiError for what is no HTTP (400) or too long (431,
  // 413); then nothing of it is to be believed, and the connection ends.
  asio::awaitable<bool> read_header();
  // "" where there is none.
  std::string_view field(std::string_view name) const;
  bool has(std::string_view name) const { return count(name) > 0; }
  std::size_t count(std::string_view name) const;
  std::string_view method() const;
  std::string_view target() const;
  bool keep_alive() const { return parser_->get().keep_alive(); }
  bool is_old() const { return parser_->get().version() < 11; }  // HTTP/1.0
  // Throws ApiError 400 where two readers could take it for different requests, and 431.
  void check_header() const;
  bool wants_go_ahead() const;  // with "100 Continue", before it sends the body

  // All of the body; once. Throws ApiError: 413, 408 (too slow), 400 (no HTTP), 503 where the
  // bodies of others leave no memory for it, or stop() was called.
  asio::awaitable<std::string> read_body();
  // The next piece of a body that is not kept in memory; "" at its end. Throws as read_body().
  asio::awaitable<std::string> read_piece();
  bool whole() const { return whole_; }  // the body was read
  // What was read of the body is held no more.
  void release_body() { body_held_.set(0); }
  // Ends the request: what its client sent already of the next one stays.
  void finish();

  // Reads what the client still sends, for a moment: closed at once, it would not see the answer.
  asio::awaitable<void> discard();
  // The server stops: ends a wait for the client that is under way, and all that follow.
  void stop();

 private:
  using Parser = beast::http::request_parser<BodyText>;

  ApiError too_large(std::uint64_t most) const;
  void limit_body(std::uint64_t most);
  void limit_time(std::chrono::milliseconds time);
  asio::awaitable<void> read_some();
  ApiError no_memory() const;

  Wire& wire_;
  const ConnectionLimits& limits_;
  BodyLedger::Share held_, body_held_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::optional<std::uint64_t> body_limit_;  // none until the body is asked for
  bool whole_ = false, reading_ = false, stopped_ = false;
  bool first_ = true, late_ = false;
  asio::steady_timer timer_;  // of a body
  // Null once this is gone: the timer may have ended just then.
  std::shared_ptr<RequestReader*> self_ = std::make_shared<RequestReader*>(this);
};

}  // namespace malina::serve
