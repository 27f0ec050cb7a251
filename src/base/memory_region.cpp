#include "base/memory_region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"

namespace malina::base {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t read_number(const std::string& path, std::size_t otherwise) {
  std::ifstream file(path);
  std::size_t value = 0;
  return file >> value ? value : otherwise;  // "max" does not read as a number
}

// A value of memory.stat, 0 if absent.
std::size_t read_stat(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  std::size_t value = 0;
  while (file >> name >> value)
    if (name == key) return value;
  return 0;
}

std::size_t system_available() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::string unit;
  std::size_t kilobytes = 0;
  while (file >> name >> kilobytes) {
    if (name == "MemAvailable:") return kilobytes * 1024;
    std::getline(file, unit);
  }
  return std::numeric_limits<std::size_t>::max();
}

std::size_t cgroup_available() {
  std::ifstream membership("/proc/self/cgroup");
  std::string line;
  std::string path;
  while (std::getline(membership, line))
    if (line.rfind("0::", 0) == 0) path = line.substr(3);
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (;;) {  // a limit of any group above holds too
    const std::string folder = "/sys/fs/cgroup" + path;
    const std::size_t limit =
        read_number(folder + "/memory.max", std::numeric_limits<std::size_t>::max());
    if (limit != std::numeric_limits<std::size_t>::max()) {
      const std::size_t used = read_number(folder + "/memory.current", 0);
      const std::size_t cache = read_stat(folder + "/memory.stat", "inactive_file") +
                                read_stat(folder + "/memory.stat", "active_file");
      const std::size_t held = used > cache ? used - cache : 0;
      least = std::min(least, limit > held ? limit - held : 0);
    }
    if (path.empty() || path == "/") return least;
    path = path.substr(0, path.rfind('/'));
  }
}

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

std::size_t available_memory_bytes() { return std::min(system_available(), cgroup_available()); }

}  // namespace malina::base
