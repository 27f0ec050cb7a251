// One connection: requests one after another, each checked, run and answered, with limits of size
// and time on everything that comes from outside.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <unordered_set>

#include "platform/server_settings.h"
#include "serve/body_ledger.h"
#include "serve/request_reader.h"
#include "serve/router.h"

namespace malina::serve {

class Log;
class Metrics;

// What all connections of a server share. On the server's thread only.
struct ServerState {
  platform::Service& service;
  const platform::ServerSettings& settings;
  const HostList hosts;
  const ConnectionLimits limits;
  Log& log;
  Metrics& metrics;
  BodyLedger bodies;
  asio::any_io_executor workers;    // for what blocks
  asio::any_io_executor long_work;  // for what large bodies ask for, one after another
  std::unordered_set<RequestReader*> readers = {};  // of all connections
  bool draining = false;                            // no new work
  bool cut = false;                                 // what still runs ends now, with an error
  std::size_t connections = 0;
  std::size_t requests = 0;  // under way
};

// Serves a connection until it ends; never throws. `tls`: null for plain HTTP.
asio::awaitable<void> serve_connection(asio::ip::tcp::socket socket,
                                       std::shared_ptr<asio::ssl::context> tls, ServerState& state);

}  // namespace malina::serve
