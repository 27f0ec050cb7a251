// One connection: requests one after another, each checked, run and answered, with limits of size
// and time on everything that comes from outside.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>

#include "platform/server_settings.h"
#include "serve/router.h"

namespace malina::serve {

class Log;
class Metrics;

// Limits of reference/trust.md, R18 and section 5.
struct ConnectionLimits {
  std::size_t header_bytes = 32 * 1024;
  std::size_t header_fields = 100;
  std::size_t body_bytes = 0;
  std::chrono::seconds header_time{10}, body_time{30}, write_time{30}, idle_time{60};
};

// What all connections of a server share. On the server's thread only.
struct ServerState {
  platform::Service& service;
  const platform::ServerSettings& settings;
  const HostList hosts;
  const ConnectionLimits limits;
  Log& log;
  Metrics& metrics;
  asio::any_io_executor workers;
  bool draining = false;  // no new work
  bool cut = false;       // what still runs ends now, with an error
  std::size_t connections = 0;
  std::size_t requests = 0;  // under way
};

// Serves a connection until it ends; never throws. `tls`: null for plain HTTP.
asio::awaitable<void> serve_connection(asio::ip::tcp::socket socket,
                                       std::shared_ptr<asio::ssl::context> tls, ServerState& state);

}  // namespace malina::serve
