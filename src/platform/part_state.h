// What a part of a file is a part of, as far as the server told: kept beside it, for the next run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "platform/http_client.h"

namespace malina::platform {

struct PartState {
  std::string validator;  // for If-Range: a strong ETag, or a date; "" where there is neither
  std::optional<std::uint64_t> size_bytes;

  // Nothing is known (all fields empty) where the file is missing or damaged. Throws io.
  static PartState read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file) const;  // whole or not at all
  bool operator==(const PartState&) const = default;
};

// What If-Range may say to a server that answered so; "" for nothing.
std::string validator_of(const HttpHead& head);

}  // namespace malina::platform
