#include "serve/connector_call.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/error.h"
#include "platform/unix_socket.h"
#include "serve/wire.h"

namespace malina::serve {

ConnectorCall::ConnectorCall(const asio::any_io_executor& executor,
                             const std::filesystem::path& socket, std::string line,
                             std::function<void()> wake)
    : state_(std::make_shared<State>(executor)) {
  state_->line = std::move(line);
  state_->wake = std::move(wake);
  asio::co_spawn(executor, run(state_, socket), asio::detached);
}

ConnectorCall::~ConnectorCall() {
  boost::system::error_code ignored;
  state_->wake = nullptr;
  state_->socket.close(ignored);
}

// The line that came back; "" where none did.
asio::awaitable<std::string> ConnectorCall::exchange(State& state, std::filesystem::path path) {
  const asio::local::stream_protocol::endpoint endpoint(path.string());
  const auto [refused] = co_await state.socket.async_connect(endpoint, kNoThrow);
  if (refused || !platform::is_same_user(state.socket.native_handle())) co_return "";
  const auto question = asio::buffer(state.line);
  const auto [unsent, sent] = co_await asio::async_write(state.socket, question, kNoThrow);
  if (unsent) co_return "";
  state.sent = true;
  state.line = {};
  std::string line;
  auto into = asio::dynamic_buffer(line, platform::kMostUpstreamLine);
  const auto [cut, size] = co_await asio::async_read_until(state.socket, into, '\n', kNoThrow);
  if (cut) co_return "";
  line.resize(size - 1);
  co_return line;
}

asio::awaitable<void> ConnectorCall::run(std::shared_ptr<State> state, std::filesystem::path path) {
  platform::UpstreamReply reply{.fault = platform::UpstreamFault::unreachable};
  try {
    const std::string line = co_await exchange(*state, std::move(path));
    if (!line.empty())
      reply = platform::read_reply_line(line);
    else if (state->sent)  // who took the question may have passed it on
      reply = {.fault = platform::UpstreamFault::failed};
  } catch (const base::Error&) {
    reply = {.fault = platform::UpstreamFault::malformed};
  }
  boost::system::error_code ignored;
  state->socket.close(ignored);
  state->reply = std::move(reply);
  if (state->wake) state->wake();
}

}  // namespace malina::serve
