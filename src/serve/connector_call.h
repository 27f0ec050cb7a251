// One question to the connector, under way: the only connection that the server makes, to a Unix
// socket of its own machine.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "platform/upstream.h"

namespace malina::serve {

namespace asio = boost::asio;

// On the server's thread only.
class ConnectorCall {
 public:
  // Sends `line` to the connector that listens at `socket`; `wake` is called when it has ended.
  ConnectorCall(const asio::any_io_executor& executor, const std::filesystem::path& socket,
                std::string line, std::function<void()> wake);
  // Without an answer it is given up, which the connector sees.
  ~ConnectorCall();
  ConnectorCall(const ConnectorCall&) = delete;
  ConnectorCall& operator=(const ConnectorCall&) = delete;

  // Once it has ended. Where nobody listened, another user's process did, or what it said does not
  // read, that is a fault.
  const std::optional<platform::UpstreamReply>& reply() const { return state_->reply; }

 private:
  struct State {
    explicit State(const asio::any_io_executor& executor) : socket(executor) {}
    asio::local::stream_protocol::socket socket;
    std::string line;
    std::function<void()> wake;
    std::optional<platform::UpstreamReply> reply;
    bool sent = false;  // the question has gone to whoever listens
  };
  static asio::awaitable<void> run(std::shared_ptr<State> state, std::filesystem::path path);
  static asio::awaitable<std::string> exchange(State& state, std::filesystem::path path);

  std::shared_ptr<State> state_;
};

}  // namespace malina::serve
