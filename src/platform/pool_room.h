// Who gives way in a ModelPool, and how much a model may take: rules without a state of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "platform/pool_entry.h"

namespace malina::platform {

using PoolEntries = std::map<std::string, std::shared_ptr<PoolEntry>>;
using PoolTime = std::chrono::steady_clock::time_point;

// Who waits for a model asks again within a second; so long is one kept that nobody leased yet.
inline constexpr std::chrono::seconds kPoolPatience{2};

// Of all models and their adapters.
std::uint64_t used_bytes(const PoolEntries& entries);

// Of those that have users, who cannot give way.
std::uint64_t bytes_in_use(const PoolEntries& entries);

// Whether a model goes though nobody wants its room: nobody uses it, and it drains or has stood
// unused for as long as it may.
bool is_to_go(const PoolEntry& entry, PoolTime now);

// The longest unused of the models that may go; null where all are in use.
std::shared_ptr<PoolEntry> model_to_give_up(const PoolEntries& entries, PoolTime now);

// An adapter of an entry, by its digest.
struct AdapterOfEntry {
  std::shared_ptr<PoolEntry> entry;
  std::string digest;
};
// The longest unused of the loaded adapters that nobody has used for `idle`.
std::optional<AdapterOfEntry> adapter_to_give_up(const PoolEntries& entries, PoolTime now,
                                                 std::chrono::seconds idle);

// Bytes of keys and values for which idle models make room: those of one whole context, as far as
// the model stays within half of the pool's memory. `parallel`: whole contexts in need.cache.
std::uint64_t wanted_cache(const MemoryNeed& need, std::size_t parallel,
                           std::uint64_t memory_bytes);
// And those that it gets. Half of what is left, beside its weights and activations, is for models
// to come, but not of what is wanted.
std::uint64_t granted_cache(const MemoryNeed& need, std::uint64_t wanted, std::uint64_t left);

}  // namespace malina::platform
