#include "base/memory_region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdint>
#include <limits>

#include "base/error.h"

namespace malina::base {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

MemoryRegion::MemoryRegion(std::size_t bytes, bool huge) : size_(bytes) {
  if (bytes == 0) return;
  const bool large = huge && bytes >= kHugePage;
  if (bytes > std::numeric_limits<std::size_t>::max() - 2 * kHugePage)
    throw Error(Fault::out_of_memory, fmt::format("cannot allocate {} bytes", bytes));
  mapping_bytes_ = large ? bytes + kHugePage : bytes;
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw Error(Fault::out_of_memory, fmt::format("cannot allocate {} MiB of memory", bytes >> 20));
  }
  auto address = reinterpret_cast<std::uintptr_t>(mapping_);
  if (large) {
    address = (address + kHugePage - 1) / kHugePage * kHugePage;
    madvise(reinterpret_cast<void*>(address), bytes, MADV_HUGEPAGE);  // only advice
  }
  data_ = reinterpret_cast<std::byte*>(address);
}

MemoryRegion::~MemoryRegion() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

}  // namespace malina::base
