// What this process may use of the machine it runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace malina::base {

struct Machine {
  std::string processor;       // as the system names it; empty if it does not
  std::size_t processors = 1;  // hardware threads that are online
  std::size_t usable_threads =
      1;  // allowed by affinity and by the control group's quota, at least 1
  std::uint64_t memory_bytes = 0;     // of the machine
  std::uint64_t available_bytes = 0;  // that the machine can give without swapping
  // The smallest limit of the control groups that this process is in, and how much of it is in use
  // (without file cache, which the system gives back); absent where there is no limit.
  std::optional<std::uint64_t> group_limit_bytes, group_used_bytes;
  std::optional<double> group_processors;  // the control group's quota, in processors

  // What this process can still take: the least of all of the above; the largest number there is
  // where the system does not tell.
  std::uint64_t usable_bytes() const;
};

// Reads /proc and the control groups, version 2 or 1, beneath `root`. Never throws: what cannot be
// read is left at its default.
Machine read_machine(const std::filesystem::path& root = "/");

}  // namespace malina::base
