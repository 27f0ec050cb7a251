#include "platform/pool_room.h"

#include <algorithm>

namespace malina::platform {

std::uint64_t used_bytes(const PoolEntries& entries) {
  std::uint64_t bytes = 0;
  for (const auto& [key, entry] : entries) {
    bytes += entry->reserved_bytes;
    for (const auto& [digest, adapter] : entry->adapters) bytes += adapter->bytes;
  }
  return bytes;
}

std::uint64_t bytes_in_use(const PoolEntries& entries) {
  std::uint64_t bytes = 0;
  for (const auto& [key, entry] : entries)
    if (entry->users > 0) bytes += entry->reserved_bytes;
  return bytes;
}

bool is_to_go(const PoolEntry& entry, PoolTime now) {
  if (entry.users > 0) return false;
  const bool old = entry.state == ModelState::ready && entry.keep_alive.count() >= 0 &&
                   now - entry.last_used >= entry.keep_alive;
  return old || entry.state == ModelState::draining;
}

std::shared_ptr<PoolEntry> model_to_give_up(const PoolEntries& entries, PoolTime now) {
  std::shared_ptr<PoolEntry> oldest;
  for (const auto& [key, entry] : entries)
    if (entry->state == ModelState::ready && entry->users == 0 &&
        (entry->leased || now - entry->last_used > kPoolPatience) &&  // else who waited comes now
        (!oldest || entry->last_used < oldest->last_used))
      oldest = entry;
  return oldest;
}

std::optional<AdapterOfEntry> adapter_to_give_up(const PoolEntries& entries, PoolTime now,
                                                 std::chrono::seconds idle) {
  std::optional<AdapterOfEntry> oldest;
  PoolTime used{};
  for (const auto& [key, entry] : entries)
    for (const auto& [digest, adapter] : entry->adapters) {
      if (adapter->users > 0 || adapter->base || now - adapter->last_used < idle) continue;
      if (oldest && used <= adapter->last_used) continue;
      oldest = AdapterOfEntry{entry, digest};
      used = adapter->last_used;
    }
  return oldest;
}

std::uint64_t wanted_cache(const MemoryNeed& need, std::size_t parallel,
                           std::uint64_t memory_bytes) {
  const std::uint64_t fixed = need.weights + need.activations;
  const std::uint64_t context = need.cache / std::max<std::size_t>(1, parallel);
  return std::min(context, std::max(memory_bytes / 2, fixed) - fixed);
}

std::uint64_t granted_cache(const MemoryNeed& need, std::uint64_t wanted, std::uint64_t left) {
  const std::uint64_t most = std::max({left / 2, std::min(left, wanted), need.least_cache});
  return std::clamp(need.cache, need.least_cache, most);
}

}  // namespace malina::platform
