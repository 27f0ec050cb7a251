// A connection's bytes, with or without TLS, behind one type.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace malina::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;

// What a coroutine of asio gives an error code instead of throwing.
inline constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// An AsyncReadStream and AsyncWriteStream. One thread.
class Wire {
 public:
  using executor_type = beast::tcp_stream::executor_type;

  Wire(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
      : context_(std::move(tls)) {
    if (context_)
      tls_.emplace(beast::tcp_stream(std::move(socket)), *context_);
    else
      plain_.emplace(std::move(socket));
  }

  bool has_tls() const { return tls_.has_value(); }
  beast::tcp_stream& tcp() { return tls_ ? tls_->next_layer() : *plain_; }
  beast::ssl_stream<beast::tcp_stream>& tls() { return *tls_; }
  asio::ip::tcp::socket& socket() { return tcp().socket(); }
  executor_type get_executor() { return tcp().get_executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return tls_ ? tls_->async_read_some(buffers, std::forward<Token>(token))
                : plain_->async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return tls_ ? tls_->async_write_some(buffers, std::forward<Token>(token))
                : plain_->async_write_some(buffers, std::forward<Token>(token));
  }

 private:
  std::shared_ptr<asio::ssl::context> context_;  // outlives the stream made from it
  std::optional<beast::tcp_stream> plain_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> tls_;
};

}  // namespace malina::serve
