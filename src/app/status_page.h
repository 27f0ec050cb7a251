// A server's status, as a page for a terminal and as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "app/console.h"
#include "platform/server_status.h"

namespace malina::app {

struct StatusView {
  std::string server;    // its address
  std::int64_t now = 0;  // seconds since 1970-01-01 UTC
  platform::ServerStatus status = {};
  platform::ServerActivity recent = {};  // until now
  std::string trouble = {};              // why there is nothing newer; "" where it is new
};

// Lines of at most `columns`, coloured as the console is. What comes from the server is
// printable().
std::string status_page(const StatusView& view, const Console& console, std::size_t columns);
Json status_json(const StatusView& view);

}  // namespace malina::app
