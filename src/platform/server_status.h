// What a running server says of itself, as values: read from its /metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/api_client.h"
#include "platform/metrics_text.h"

namespace malina::platform {

// A model in the server's memory. Counters count from when it was loaded.
struct ServedModel {
  std::string name;    // as it was first asked for
  std::string digest;  // the first 12 hexadecimal digits
  std::string state;   // "loading", "ready", "draining"
  std::uint64_t memory_bytes = 0, context_tokens = 0, users = 0;
  std::uint64_t running = 0, waiting = 0;  // answers
  std::uint64_t pages_used = 0, pages_cached = 0, pages_capacity = 0;
  std::uint64_t prompt_tokens = 0, cached_tokens = 0,
                answer_tokens = 0;              // cached: not computed again
  std::optional<std::uint64_t> unload_seconds;  // nullopt: in use, or it stays
};

// Of requests that have ended, since the server started.
struct KeyUsage {
  std::string key, model;  // the key's id, the name that was asked for
  std::uint64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
};
struct RouteRequests {
  std::string route, status;  // "/v1/completions", "200"; "none" is what no route matched
  std::uint64_t count = 0;
};

// Seconds, of all models together.
struct Latencies {
  MetricHistogram first_token = {}, between_tokens = {}, queue = {};
};

struct ServerStatus {
  std::string version;
  std::int64_t started_at = 0;  // seconds since 1970-01-01 UTC
  std::uint64_t memory_budget_bytes = 0;
  std::vector<ServedModel> models;  // by name
  std::vector<KeyUsage> usage;      // most tokens first
  std::vector<RouteRequests> requests;
  Latencies latencies = {};
};

// Of /metrics. Throws unsupported for the metrics of another program.
ServerStatus parse_server_status(std::string_view metrics);
// As api_get throws.
ServerStatus read_server_status(const ApiServer& server);

// What happened between two looks at one server.
struct ServerActivity {
  double seconds = 0;
  double prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;  // a second
  Latencies latencies = {};
};

// `before` is the older one. A model that was loaded anew, and a server that was started anew,
// count from their beginning.
ServerActivity activity(const ServerStatus& before, const ServerStatus& after, double seconds);

}  // namespace malina::platform
