// What the commands that write a model share.
#pragma once

#include <cstdint>
#include <filesystem>

#include "math/encoding.h"

namespace malina::platform {

// Asks the disk before the work, which may take an hour. Throws io where `bytes` do not fit beside
// what stands there; says nothing where the disk does not say.
void check_space(const std::filesystem::path& output, std::uint64_t bytes);

// Whether weights in this encoding had lost something before: encodings of blocks.
inline bool is_lossy(const math::Encoding& encoding) { return encoding.block_values > 1; }

}  // namespace malina::platform
