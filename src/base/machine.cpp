#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace malina::base {

namespace {

using std::filesystem::path;

std::optional<std::string> read_text(const path& file) {
  std::ifstream stream(file);
  if (!stream) return std::nullopt;
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The first number of a file; "max" and what is not a number give nullopt.
std::optional<std::uint64_t> read_number(const path& file) {
  const auto text = read_text(file);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto result = std::from_chars(text->data(), text->data() + text->size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

// The number after `key` at the start of a line, as /proc/meminfo and memory.stat have it.
std::optional<std::uint64_t> read_field(const path& file, std::string_view key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    std::uint64_t value = 0;
    if (rest >> value) return value;
  }
  return std::nullopt;
}

void keep_smaller(std::optional<std::uint64_t>& limit, std::optional<std::uint64_t>& used,
                  const path& folder, const char* limit_file, const char* used_file) {
  const auto found = read_number(folder / limit_file);
  // Version 1 writes "no limit" as a number near 2^63.
  if (!found || *found >= (std::uint64_t{1} << 62) || (limit && *limit <= *found)) return;
  limit = found;
  const std::uint64_t total = read_number(folder / used_file).value_or(0);
  // The total_ fields are version 1's, where the plain ones leave out the groups below.
  const path statistics = folder / "memory.stat";
  const auto field = [&](const char* total_field, const char* plain) {
    const auto sum = read_field(statistics, total_field);
    return sum ? *sum : read_field(statistics, plain).value_or(0);
  };
  const std::uint64_t cache =
      field("total_inactive_file ", "inactive_file ") + field("total_active_file ", "active_file ");
  used = total > cache ? total - cache : 0;
}

void keep_smaller(std::optional<double>& quota, double microseconds, double period) {
  if (microseconds <= 0 || period <= 0) return;
  const double processors = microseconds / period;
  if (!quota || processors < *quota) quota = processors;
}

// Calls `read` for the group's folder and every one above it: a limit holds for all below. In a
// container the path is that of the host and may not exist here; the mount itself always does.
template <typename Read>
void for_groups(const path& mount, const std::string& group, Read read) {
  path relative = path(group).relative_path();
  while (true) {
    read(mount / relative);
    if (relative.empty()) return;
    relative = relative.parent_path();
  }
}

void read_groups(const path& root, Machine& machine) {
  const path mount = root / "sys/fs/cgroup";
  std::ifstream stream(root / "proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    const auto memory = [&](const char* limit, const char* used) {
      return [&machine, limit, used](const path& folder) {
        keep_smaller(machine.group_limit_bytes, machine.group_used_bytes, folder, limit, used);
      };
    };
    if (controllers == ",,") {
      for_groups(mount, group, memory("memory.max", "memory.current"));
      for_groups(mount, group, [&](const path& folder) {
        std::istringstream text(read_text(folder / "cpu.max").value_or(""));
        double quota = 0, period = 0;
        if (text >> quota >> period) keep_smaller(machine.group_processors, quota, period);
      });
    } else if (controllers.find(",memory,") != std::string::npos) {
      for_groups(mount / "memory", group, memory("memory.limit_in_bytes", "memory.usage_in_bytes"));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      for_groups(mount / "cpu", group, [&](const path& folder) {
        keep_smaller(machine.group_processors,
                     static_cast<double>(read_number(folder / "cpu.cfs_quota_us").value_or(0)),
                     static_cast<double>(read_number(folder / "cpu.cfs_period_us").value_or(0)));
      });
    }
  }
}

std::string read_processor(const path& root) {
  std::ifstream stream(root / "proc/cpuinfo");
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with("model name")) continue;
    const auto start = line.find_first_not_of(" \t", line.find(':') + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return "";
}

}  // namespace

std::uint64_t Machine::usable_bytes() const {
  if (memory_bytes == 0) return std::numeric_limits<std::uint64_t>::max();  // nothing is known
  if (!group_limit_bytes) return available_bytes;
  const std::uint64_t used = group_used_bytes.value_or(0);
  return std::min(available_bytes, *group_limit_bytes > used ? *group_limit_bytes - used : 0);
}

Machine read_machine(const path& root) {
  Machine machine;
  machine.processor = read_processor(root);
  machine.processors = static_cast<std::size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  machine.usable_threads = machine.processors;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    machine.usable_threads = static_cast<std::size_t>(std::max(1, CPU_COUNT(&allowed)));
  machine.memory_bytes = read_field(root / "proc/meminfo", "MemTotal:").value_or(0) * 1024;
  machine.available_bytes = read_field(root / "proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  read_groups(root, machine);
  if (machine.group_processors) {
    const auto quota = static_cast<std::size_t>(std::ceil(*machine.group_processors));
    machine.usable_threads = std::clamp<std::size_t>(quota, 1, machine.usable_threads);
  }
  return machine;
}

}  // namespace malina::base
