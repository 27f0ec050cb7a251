// Responses as they go out over a connection: whole or in pieces, no faster than the client takes
// them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/body_ledger.h"
#include "serve/wire.h"

namespace malina::serve {

// On the server's thread only; the wire and the ledger outlive it.
//
// Nothing is written ahead: each call returns when the client's end, or this system's buffer for
// it, has taken what was given. Of a response in pieces there is one piece at a time; a whole one
// is held in the ledger until it is gone, and waits for room there, `stall` at most (ApiError 503).
// Whoever takes less than kSlice bytes in `stall` is let go. All throw Disconnected where the
// client has gone or was let go.
class ResponseWriter {
 public:
  static constexpr std::size_t kSlice = 32 * 1024;  // 1 KiB/s with 30 s (reference/trust.md)

  ResponseWriter(Wire& wire, std::chrono::seconds stall, BodyLedger& ledger)
      : wire_(wire), stall_(stall), held_(ledger) {}

  // Of a new request: its response has not begun. An answer to HEAD has no body; HTTP/1.0 knows no
  // chunks, and a response in pieces ends with its connection.
  void begin_request(bool head_only, bool old_protocol);

  struct Head {
    unsigned status = 200;
    std::string_view type = {};  // "": no content-type
    std::string_view request_id = {};
    const std::vector<std::pair<std::string, std::string>>* more = nullptr;  // the last of a name
    bool keep_alive = false;
  };
  asio::awaitable<void> go_ahead();  // 100 Continue
  asio::awaitable<void> whole(const Head& head, std::string body);
  asio::awaitable<void> begin_pieces(const Head& head);
  // The same, with so many bytes in all.
  asio::awaitable<void> begin_bytes(const Head& head, std::uint64_t bytes);
  asio::awaitable<void> piece(std::string bytes);
  asio::awaitable<void> end_pieces();

  bool began() const { return began_; }

 private:
  std::string text_of(const Head& head, std::optional<std::size_t> length) const;
  asio::awaitable<void> hold(std::size_t bytes);
  asio::awaitable<void> send(std::string_view bytes);

  Wire& wire_;
  const std::chrono::seconds stall_;
  BodyLedger::Share held_;
  bool head_only_ = false, old_protocol_ = false, chunked_ = false, began_ = false;
};

}  // namespace malina::serve
