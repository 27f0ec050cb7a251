// The HTTP server: listens, serves and ends in order.
#pragma once

#include <functional>
#include <string>

#include "platform/server_settings.h"
#include "platform/service.h"

namespace malina::serve {

// Serves until SIGTERM or SIGINT, then takes no new work and gives what runs settings.drain to end;
// a second signal ends at once. `ready` is called once connections are taken, with the address
// ("http://127.0.0.1:8080"). Throws base::Error where it cannot listen or the certificate cannot be
// read. The thread that calls it is the server's.
void run(platform::Service& service, const platform::ServerSettings& settings,
         const std::function<void(const std::string& url)>& ready);

}  // namespace malina::serve
