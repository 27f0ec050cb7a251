// How a request waits while its answer is made, and learns that its client has gone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <span>

#include "serve/wire.h"

namespace malina::platform {
class Answer;
}

namespace malina::serve {

// On the server's thread only; the wire outlives it. One wait at a time.
class ClientWatch {
 public:
  explicit ClientWatch(Wire& wire) : wire_(wire), timer_(wire.get_executor()) {}

  // From now on until end(): a client that goes ends every wait, and is known to have gone().
  // Nothing is read meanwhile.
  void begin();
  void end();
  bool gone() const { return gone_; }

  // Waits for something new in one of the answers, for the time at most, or until the client goes.
  asio::awaitable<void> changed(std::span<const std::unique_ptr<platform::Answer>> answers,
                                std::chrono::milliseconds time);
  // Until the time is over, a waker() is called, now or since the last pause, or the client goes.
  asio::awaitable<void> pause(std::chrono::milliseconds time);
  // Safe on any thread, at any time.
  std::function<void()> waker();

 private:
  struct Look {
    bool over = false;
  };
  asio::awaitable<void> watch(std::shared_ptr<Look> look);
  std::function<void()> posted(void (ClientWatch::*then)());
  void wake() { timer_.cancel(); }
  void note_wake() {
    woken_ = true;
    wake();
  }

  Wire& wire_;
  asio::steady_timer timer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::shared_ptr<Look> look_;
  bool gone_ = false, woken_ = false;
};

}  // namespace malina::serve
