// The bytes of a file as a text, whatever they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

#include "base/file.h"

namespace malina::base {

// All of it, or its first bytes. Throws what File does.
std::string read_text(const File& file,
                      std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max());
std::string read_text(const std::filesystem::path& path);

// All of a file that is never large. Throws what File does, and unsupported where it is larger.
std::string read_small_file(const std::filesystem::path& path, std::uint64_t largest_bytes);

}  // namespace malina::base
