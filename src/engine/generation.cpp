#include "engine/generation.h"

namespace malina::engine {

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::deadline:
      return "deadline";
  }
  return "stop";
}

std::optional<TokenEvent> Stream::take() {
  if (!events_.empty()) {
    TokenEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  if (error_) std::rethrow_exception(error_);
  return std::nullopt;
}

std::optional<TokenEvent> Stream::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !events_.empty() || ended_; });
  return take();
}

std::optional<TokenEvent> Stream::try_next() {
  const std::scoped_lock lock(mutex_);
  return take();
}

bool Stream::ended() const {
  const std::scoped_lock lock(mutex_);
  return ended_ && events_.empty();
}

bool Stream::wait_for(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return !events_.empty() || ended_; });
}

void Stream::on_change(std::function<void()> listener) {
  const std::scoped_lock listening(listening_);
  listener_ = std::move(listener);
  if (!listener_) return;
  bool something = false;
  {
    const std::scoped_lock lock(mutex_);
    something = !events_.empty() || ended_;
  }
  if (something) listener_();
}

void Stream::tell() {
  const std::scoped_lock listening(listening_);
  if (listener_) listener_();
}

void Stream::push(TokenEvent event) {
  {
    const std::scoped_lock lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
  }
  tell();
}

void Stream::finish(Finished finished) {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = std::move(finished);
    ended_ = true;
    changed_.notify_all();
  }
  tell();
}

void Stream::fail(std::exception_ptr error) {
  {
    const std::scoped_lock lock(mutex_);
    error_ = std::move(error);
    ended_ = true;
    changed_.notify_all();
  }
  tell();
}

}  // namespace malina::engine
