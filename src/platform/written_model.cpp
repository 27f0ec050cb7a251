#include "platform/written_model.h"

#include <fmt/format.h>

#include "base/error.h"

namespace malina::platform {

void check_space(const std::filesystem::path& output, std::uint64_t bytes) {
  std::error_code unknown;
  const auto folder = std::filesystem::absolute(output, unknown).parent_path();
  const auto space = std::filesystem::space(folder, unknown);
  if (!unknown && space.available < bytes)
    throw base::Error(base::Fault::io,
                      fmt::format("{}: the model will have {} MB and the disk has {} MB left",
                                  output.string(), bytes / 1'000'000, space.available / 1'000'000));
}

}  // namespace malina::platform
