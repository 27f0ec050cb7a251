// Asks a running server of malina's own kind: one GET after another, as this machine's commands do.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "platform/server_settings.h"
#include "platform/url.h"

namespace malina::platform {

struct ApiServer {
  Url url;
  std::string key;               // "ID.SECRET"
  std::string key_source;        // for messages: where the key was found
  bool on_this_machine = false;  // by its own settings, whatever the address looks like
  // Of https: the file with the very certificate that the server must show. "": one that the
  // system's authorities vouch for, and that bears the host's name.
  std::filesystem::path certificate = {};
  std::chrono::milliseconds timeout{
      10'000};                        // of one request, from the connection to the last byte
  std::size_t most_bytes = 16 << 20;  // of an answer
  // Asked every moment while an answer is waited for, where there is one: true ends the waiting.
  std::function<bool()> given_up = {};
};

// Where a server with these settings is reached from its own machine, without a path's end:
// "http://127.0.0.1:8080". Throws invalid_argument for port 0, which says nothing.
Url server_url(const ServerSettings& settings);

// The body of a 200. The key never leaves the machine in the clear: http to another one is refused
// (invalid_argument). Throws io where nobody answers, in time and whole, and where TLS fails;
// unauthenticated and denied for the key; overloaded for a 503; unsupported for what is no answer
// of malina's; cancelled where it was given up. Any thread.
std::string api_get(const ApiServer& server, std::string_view target);

}  // namespace malina::platform
