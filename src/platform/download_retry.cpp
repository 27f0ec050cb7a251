// When a download is tried again, and what an answer that is no success means.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "platform/download.h"
#include "platform/http_header.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using namespace std::chrono_literals;

bool is_temporary(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

Error status_error(const HttpHead& head, std::string_view what) {
  switch (head.status) {
    case 401:
      return Error(Fault::io,
                   fmt::format("{}: the server wants a token (401); put one that may read "
                               "it into HF_TOKEN, or check its spelling",
                               what));
    case 403:
      return Error(Fault::io,
                   fmt::format("{}: the server refuses (403): the token in HF_TOKEN may not "
                               "read it, or its licence is still to be accepted there",
                               what));
    case 404:
    case 410:
      return Error(Fault::not_found,
                   fmt::format("{}: there is no such thing on the server ({})", what, head.status));
    default:
      return Error(Fault::io,
                   fmt::format("{}: the server answers with status {}", what, head.status));
  }
}

void wait_between_tries(std::chrono::milliseconds pause, const std::function<void()>& tick) {
  const auto end = std::chrono::steady_clock::now() + pause;
  while (true) {
    tick();
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, 100ms));
  }
}

std::chrono::milliseconds pause_before_try(unsigned failures, const HttpHead& head) {
  constexpr auto kLongestAsked = 60s;
  if (const auto asked =
          parse_retry_after(head.header("retry-after"), std::chrono::system_clock::now());
      asked && is_temporary(head.status)) {
    if (*asked > kLongestAsked)
      throw Error(Fault::io,
                  fmt::format("{}: the server answers with status {} and asks to come back "
                              "in {} s",
                              head.url.shown(), head.status, asked->count()));
    return *asked;
  }
  const unsigned doublings = std::min(failures > 0 ? failures - 1 : 0, 6U);
  return std::min<std::chrono::milliseconds>(500ms * (1U << doublings), 30s);
}

}  // namespace malina::platform
