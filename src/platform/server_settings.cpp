#include "platform/server_settings.h"

#include <arpa/inet.h>

#include <algorithm>

namespace malina::platform {

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

}  // namespace malina::platform
