#include "serve/client_watch.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "platform/answer.h"

namespace malina::serve {

namespace {

constexpr auto kLook = std::chrono::milliseconds(100);     // how often a busy socket is looked at
constexpr auto kCutLook = std::chrono::milliseconds(500);  // how late a cut may be noticed

// Has the client closed its side? TLS or not, and whatever bytes are still to be read.
bool peer_closed(int socket) {
  pollfd entry{socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace

void ClientWatch::begin() {
  gone_ = false;
  look_ = std::make_shared<Look>();
  asio::co_spawn(wire_.get_executor(), watch(look_), asio::detached);
}

void ClientWatch::end() {
  look_->over = true;
  wire_.socket().cancel();
}

// Touches nothing of ours once it is over.
asio::awaitable<void> ClientWatch::watch(std::shared_ptr<Look> look) {
  asio::steady_timer timer(wire_.get_executor());
  while (!look->over) {
    const auto [error] = co_await wire_.socket().async_wait(asio::socket_base::wait_read, kNoThrow);
    if (look->over) co_return;
    // A read that took too long was ended, and this wait with it.
    if (error == asio::error::operation_aborted && wire_.socket().is_open()) continue;
    if (error || peer_closed(wire_.socket().native_handle())) {
      gone_ = true;
      wake();
      co_return;
    }
    // There is a further request, or a part of TLS: not ours to read now.
    timer.expires_after(kLook);
    co_await timer.async_wait(kNoThrow);
  }
}

// What happens on this thread after it was called on another one, if this is still there.
std::function<void()> ClientWatch::posted(void (ClientWatch::*then)()) {
  return [executor = wire_.get_executor(), this, then, alive = std::weak_ptr<int>(alive_)] {
    asio::post(executor, [this, then, alive] {
      if (alive.lock()) (this->*then)();
    });
  };
}

std::function<void()> ClientWatch::waker() { return posted(&ClientWatch::note_wake); }

asio::awaitable<void> ClientWatch::changed(
    std::span<const std::unique_ptr<platform::Answer>> answers, std::chrono::milliseconds time) {
  timer_.expires_after(std::min<std::chrono::milliseconds>(time, kCutLook));
  for (const auto& answer : answers) answer->on_change(posted(&ClientWatch::wake));
  co_await timer_.async_wait(kNoThrow);
  for (const auto& answer : answers) answer->on_change({});
}

asio::awaitable<void> ClientWatch::pause(std::chrono::milliseconds time) {
  if (!woken_) {
    timer_.expires_after(std::min<std::chrono::milliseconds>(time, kCutLook));
    co_await timer_.async_wait(kNoThrow);
  }
  woken_ = false;
}

}  // namespace malina::serve
