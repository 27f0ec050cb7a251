#include "format/split.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;

constexpr std::uint64_t kMostParts = 99999;  // five digits

std::string suffix(std::uint64_t part, std::uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", part + 1, count);
}

}  // namespace

std::optional<SplitKeys> split_keys(const Metadata& metadata, const std::string& name) {
  const std::uint64_t count = metadata.integer("split.count").value_or(0);
  if (count == 0) return std::nullopt;
  if (count > kMostParts)
    throw Error(
        Fault::corrupt_file,
        fmt::format("{}: metadata key 'split.count' is {}, more than {}", name, count, kMostParts));
  const auto part = metadata.integer("split.no");
  if (!part)
    throw Error(Fault::corrupt_file,
                name + " is part of a split model, but metadata key 'split.no' is missing");
  if (*part >= count)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: metadata key 'split.no' is {}, but there are {} parts from 0",
                            name, *part, count));
  return SplitKeys{*part, count, metadata.integer("split.tensors.count")};
}

std::vector<std::filesystem::path> split_paths(const std::filesystem::path& part,
                                               const SplitKeys& keys) {
  if (keys.count == 1) return {part};
  const std::string name = part.string();
  const std::string end = suffix(keys.part, keys.count);
  if (!name.ends_with(end))
    throw Error(Fault::corrupt_file,
                fmt::format("{} is part {} of {} of a split model, so its name must end in {} for "
                            "the other parts to be found",
                            name, keys.part + 1, keys.count, end));
  const std::string prefix = name.substr(0, name.size() - end.size());
  std::vector<std::filesystem::path> paths;
  for (std::uint64_t i = 0; i < keys.count; ++i) {
    paths.emplace_back(prefix + suffix(i, keys.count));
    std::error_code failure;
    if (!std::filesystem::exists(paths.back(), failure))
      throw Error(Fault::not_found,
                  fmt::format("{} is missing: it is part {} of {} of the model that {} belongs to",
                              paths.back().string(), i + 1, keys.count, name));
  }
  return paths;
}

}  // namespace malina::format
