// Models in several GGUF files: how the parts are named and what they say of each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace malina::format {

// What a part says in its own metadata (split.no, split.count, split.tensors.count).
struct SplitKeys {
  std::uint64_t part;                    // counted from 0
  std::uint64_t count;                   // at least 1
  std::optional<std::uint64_t> tensors;  // of all parts together
};

// Nullopt for a file that is whole: no split.count, or 0 as a merged file has it. Throws
// corrupt_file where the keys contradict themselves; `name` is the file's, for messages.
std::optional<SplitKeys> split_keys(const Metadata& metadata, const std::string& name);

// The paths of all parts, in order, from the path of any one of them, which is named
// PREFIX-00002-of-00005.gguf as the keys say. Throws corrupt_file where it is not so named, and
// not_found naming the first part that is missing.
std::vector<std::filesystem::path> split_paths(const std::filesystem::path& part,
                                               const SplitKeys& keys);

}  // namespace malina::format
