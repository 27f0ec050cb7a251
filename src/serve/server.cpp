#include "serve/server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "serve/answering.h"
#include "serve/connection.h"
#include "serve/listening.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/tls.h"

namespace malina::serve {

namespace {

using asio::ip::tcp;
using boost::system::error_code;

// Threads for what blocks: commits, templates, tokenising. Few do work at the same time.
constexpr std::size_t kWorkers = 16;
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr auto kFlush = std::chrono::seconds(5);
constexpr auto kLongestPause = std::chrono::milliseconds(1000);  // of taking connections
constexpr auto kSaidAgain = std::chrono::seconds(10);            // that they cannot be taken
constexpr auto kAfterCut = std::chrono::seconds(5);  // for streams to be told that they were cut

LogLevel level(const std::string& name) {
  if (name == "error") return LogLevel::error;
  if (name == "warning") return LogLevel::warning;
  return name == "debug" ? LogLevel::debug : LogLevel::info;
}

// A shell's usual 1024 are fewer than `connections`.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

class Server {
 public:
  Server(platform::Service& service, const platform::ServerSettings& settings)
      : settings_(settings),
        log_(settings.log_format == "json" ? Log::Format::json : Log::Format::text,
             level(settings.log_level)),
        workers_(kWorkers),
        long_work_(1),
        signals_(io_, SIGTERM, SIGINT),
        certificates_(settings.tls_certificate, settings.tls_key),
        acceptors_(listen(io_, settings.host, settings.port,
                          certificates_.enabled() || settings.allow_plaintext)) {
    // One that nobody is beside, with what is buffered while it is read.
    // What an upload has around its file: boundaries, headers, other fields.
    constexpr std::uint64_t kAroundFile = 64 * 1024;
    const std::uint64_t bodies = service.body_bytes();
    const std::uint64_t largest =
        (bodies > 2 * kMostBuffered ? bodies - kMostBuffered : bodies / 2) / kBodyCost;
    state_.emplace(ServerState{.service = service,
                               .settings = settings,
                               .hosts = HostList(settings.host, settings.allowed_hosts),
                               .limits = {.body_bytes = std::min(settings.max_body, largest),
                                          .upload_bytes = settings.max_file + kAroundFile},
                               .log = log_,
                               .metrics = metrics_,
                               .bodies = BodyLedger(service.body_bytes()),
                               .workers = workers_.get_executor(),
                               .long_work = long_work_.get_executor()});
  }

  void run(const std::function<void(const std::string&)>& ready) {
    raise_descriptor_limit();
    for (tcp::acceptor& acceptor : acceptors_)
      asio::co_spawn(io_, accept(acceptor), asio::detached);
    asio::co_spawn(io_, stop_on_signal(), asio::detached);
    asio::co_spawn(io_, flush_refusals(), asio::detached);
    if (certificates_.enabled()) asio::co_spawn(io_, certificates_.watch(log_), asio::detached);
    if (ready) ready(url());
    notify_service_manager("READY=1");
    io_.run();
    long_work_.join();
    workers_.join();
  }

 private:
  std::string url() const {
    error_code error;
    const auto endpoint = acceptors_.front().local_endpoint(error);
    const std::string address = endpoint.address().to_string();
    return fmt::format("{}://{}:{}", certificates_.enabled() ? "https" : "http",
                       endpoint.address().is_v6() ? "[" + address + "]" : address, endpoint.port());
  }

  asio::awaitable<void> accept(tcp::acceptor& acceptor) {
    auto wait = kLook;
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(kNoThrow);
      if (state_->draining || error == asio::error::operation_aborted) co_return;
      if (error) {  // out of descriptors, or the client left again: not the end of the server
        not_taken(error);
        asio::steady_timer pause(io_, wait);
        co_await pause.async_wait(kNoThrow);
        wait = std::min(wait * 2, kLongestPause);
        continue;
      }
      wait = kLook;
      if (state_->connections >= settings_.connections) {
        co_await refuse(std::move(socket));
        continue;
      }
      asio::co_spawn(io_, serve_connection(std::move(socket), certificates_.context(), *state_),
                     asio::detached);
    }
  }

  // As long as it lasts it is the same news again and again.
  void not_taken(const error_code& error) {
    ++not_taken_;
    const auto now = std::chrono::steady_clock::now();
    if (said_at_ && now - *said_at_ < kSaidAgain) return;
    log_.warning(fmt::format("connections cannot be taken: {} ({} tries since this was said last)",
                             error.message(), not_taken_));
    said_at_ = now;
    not_taken_ = 0;
  }

  // Says so where that takes no waiting, and closes.
  asio::awaitable<void> refuse(tcp::socket socket) {
    if (certificates_.enabled()) co_return;
    static constexpr std::string_view kBody =
        R"({"error":{"message":"the server has too many connections","type":"overloaded_error","param":null,"code":"overloaded"}})";
    const std::string answer = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
        "x-request-id: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        new_id("req_"), kBody.size(), kBody);
    error_code error;
    socket.non_blocking(true, error);
    socket.write_some(asio::buffer(answer), error);
    socket.shutdown(tcp::socket::shutdown_both, error);
  }

  asio::awaitable<void> stop_on_signal() {
    co_await signals_.async_wait(kNoThrow);
    notify_service_manager("STOPPING=1");
    state_->draining = true;
    for (tcp::acceptor& acceptor : acceptors_) acceptor.close();
    for (RequestReader* reader : state_->readers) reader->stop();
    log_.info(fmt::format("stopping: {} requests are under way", state_->requests));
    bool again = false;
    asio::co_spawn(io_, second_signal(again), asio::detached);
    const auto began = std::chrono::steady_clock::now();
    asio::steady_timer timer(io_);
    while (state_->requests > 0 && !again &&
           std::chrono::steady_clock::now() - began < settings_.drain) {
      timer.expires_after(kLook);
      co_await timer.async_wait(kNoThrow);
    }
    if (state_->requests > 0)
      log_.warning(fmt::format("{} requests are cut off", state_->requests));
    state_->cut = true;
    const auto cut = std::chrono::steady_clock::now();
    while (state_->requests > 0 && std::chrono::steady_clock::now() - cut < kAfterCut) {
      timer.expires_after(kLook);
      co_await timer.async_wait(kNoThrow);
    }
    signals_.cancel();
    io_.stop();
  }

  asio::awaitable<void> flush_refusals() {
    asio::steady_timer timer(io_);
    for (;;) {
      timer.expires_after(kFlush);
      co_await timer.async_wait(kNoThrow);
      state_->service.flush_refusals();
    }
  }

  asio::awaitable<void> second_signal(bool& again) {
    const auto [error, signal] = co_await signals_.async_wait(kNoThrow);
    if (!error) again = true;
  }

  const platform::ServerSettings& settings_;
  Log log_;
  Metrics metrics_;
  // Outlives io_, whose end destroys the connections that are left.
  std::optional<ServerState> state_;
  asio::io_context io_{1};
  asio::thread_pool workers_, long_work_;
  asio::signal_set signals_;
  Certificates certificates_;
  std::vector<tcp::acceptor> acceptors_;
  std::size_t not_taken_ = 0;  // since it was said
  std::optional<std::chrono::steady_clock::time_point> said_at_;
};

}  // namespace

void run(platform::Service& service, const platform::ServerSettings& settings,
         const std::function<void(const std::string& url)>& ready) {
  Server(service, settings).run(ready);
}

}  // namespace malina::serve
