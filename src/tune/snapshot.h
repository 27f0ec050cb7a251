// The state of a job on disk, so that it goes on after whatever ended it with the bits that it
// would have had.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace malina::tune {

// Arrays of float32 and what describes them.
struct Snapshot {
  nlohmann::ordered_json state;            // an object
  std::vector<std::vector<float>> arrays;  // sizes are for the reader to compare
};

// Written aside, synced and renamed, with a digest over all of it. Throws base::Error: io,
// disk_full.
void write_snapshot(const std::filesystem::path& path, const nlohmann::ordered_json& state,
                    std::span<const std::span<const float>> arrays);
// Nothing where there is no file. Throws base::Error(corrupt_file) where it is not what was
// written; io. An array whose place in `into` has its size is read there, and empty in what is
// returned: a model's state does not stand in memory twice. Where this throws, `into` is spoilt.
std::optional<Snapshot> read_snapshot(const std::filesystem::path& path,
                                      std::span<const std::span<float>> into = {});

}  // namespace malina::tune
