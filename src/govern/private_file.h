// Small files that nobody but their owner may read: the pepper, keys.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/atomic_file.h"

namespace malina::govern {

// Appears complete, on the disk and with mode 0600, or not at all. Throws base::Error.
void write_private_file(const std::filesystem::path& file, std::string_view content,
                        base::AtomicFile::Existing existing);

// Nullopt where there is none. Throws io where it cannot be read, and invalid_argument where it has
// more than 4 KiB or, unless `others_may_read`, other users may read it.
std::optional<std::string> read_private_file(const std::filesystem::path& file,
                                             bool others_may_read = false);

}  // namespace malina::govern
