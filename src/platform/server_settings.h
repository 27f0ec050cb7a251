// What `malina serve` is set up with. platform/settings.h says where each value comes from;
// docs/reference/configuration.md lists their names, units and limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/machine.h"

namespace malina::platform {

// A plain value; every default is a server that works on this machine and is closed to all others.
struct ServerSettings {
  // Where it listens, unless the system passes a socket: always an address in digits, without
  // brackets ("localhost" was read as 127.0.0.1). Port 0: any free one.
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  // Both or none. Without them it speaks plain HTTP, and then only on loopback unless
  // `allow_plaintext`, for a place behind a proxy that speaks TLS.
  std::filesystem::path tls_certificate, tls_key;
  bool allow_plaintext = false;
  // Host headers that are answered, beside loopback names and the bound address: names or
  // addresses, lower case, without a port.
  std::vector<std::string> allowed_hosts;
  // The id of the key that keyless calls from loopback without an Origin header count as; "": none.
  std::string trust_loopback;

  std::vector<std::string> models;  // to load at start, names or aliases
  std::uint64_t memory = 0;         // bytes for weights, pages and buffers; 0: memory_budget()
  std::size_t context = 0;          // positions of a sequence; 0: the model's own, or what fits
  unsigned threads = 0;             // that compute; 0: the cores that this process may use
  bool exact = false;               // float32 throughout
  std::string kv_type;              // "f32", "f16" or "q8_0"; "": f16, or f32 when exact
  unsigned parallel = 0;            // most generations at once for a model; 0: as memory allows
  // How long an idle model stays loaded; kLongestDuration (base/quantity.h): for good.
  std::chrono::milliseconds keep_alive = std::chrono::minutes(5);

  std::chrono::milliseconds load_wait = std::chrono::seconds(30);   // of a request for a model that
                                                                    // is loading; then 503
  std::chrono::milliseconds queue_wait = std::chrono::seconds(30);  // of a request for its turn;
                                                                    // then 503
  unsigned max_queue = 256;  // requests that may wait at once; more get a 503 at once
  std::chrono::milliseconds request_timeout = std::chrono::seconds(600);  // a key may have less
  std::chrono::milliseconds drain = std::chrono::seconds(30);  // for what runs when it must stop
  unsigned connections = 4096;                                 // open at once
  std::uint64_t max_body = 32ULL << 20;                        // bytes of a request's body
  // Bytes of `memory` for the bodies of requests under way, and what they are read into; 0:
  // body_budget().
  std::uint64_t max_bodies = 0;

  // Upstreams that answers may be escalated to, by name (upstream.h); none: nothing leaves the
  // machine. They are reached through the connector that listens at this socket, ""
  // connector_socket(), alone.
  std::vector<std::string> upstreams;
  std::filesystem::path connector;
  std::chrono::milliseconds upstream_wait = std::chrono::seconds(60);  // for one of them

  unsigned job_threads = 0;                  // that a tuning job computes with; 0: half the cores
  std::uint64_t max_file = 512ULL << 20;     // bytes of an uploaded file
  std::uint64_t tenant_files = 16ULL << 30;  // bytes of a tenant's files together
  unsigned tenant_jobs = 100;                // tuning jobs of a tenant that are not over

  std::string log_format = "text";  // "text" or "json"
  std::string log_level = "info";   // "error", "warning", "info" or "debug"
};

// settings.connector, or connector.sock in the home folder.
std::filesystem::path connector_socket(const ServerSettings& settings,
                                       const std::filesystem::path& home);

// Whether an address in digits is this machine itself: 127.0.0.0/8, ::1, also mapped into IPv6.
bool is_loopback_address(std::string_view host);

// Bytes that the server may use: settings.memory, or 80 % of what this process can take of
// `machine` when it starts. The rest is for the program, the system's file cache and its
// neighbours.
std::uint64_t memory_budget(const ServerSettings& settings, const base::Machine& machine);
// How much of `memory` bodies may take: settings.max_bodies, or an eighth, 256 MiB at most. Throws
// invalid_argument where that leaves nothing for models.
std::uint64_t body_budget(const ServerSettings& settings, std::uint64_t memory);

}  // namespace malina::platform
