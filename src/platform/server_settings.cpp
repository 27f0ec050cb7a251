#include "platform/server_settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace malina::platform {

std::filesystem::path connector_socket(const ServerSettings& settings,
                                       const std::filesystem::path& home) {
  return settings.connector.empty() ? home / "connector.sock" : settings.connector;
}

bool is_loopback_address(std::string_view host) {
  const std::string text(host);
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return six.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&six);
}

std::uint64_t memory_budget(const ServerSettings& settings, const base::Machine& machine) {
  if (settings.memory != 0) return settings.memory;
  return machine.usable_bytes() / 5 * 4;
}

std::uint64_t body_budget(const ServerSettings& settings, std::uint64_t memory) {
  if (settings.max_bodies >= memory)
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("--max-bodies is {} MiB of a memory of {} MiB: that leaves "
                                  "nothing for models",
                                  settings.max_bodies >> 20, memory >> 20));
  if (settings.max_bodies != 0) return settings.max_bodies;
  return std::min<std::uint64_t>(memory / 8, 256ULL << 20);
}

}  // namespace malina::platform
