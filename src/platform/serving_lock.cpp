#include "platform/serving_lock.h"

#include <fmt/format.h>

#include "base/error.h"

namespace malina::platform {

namespace {

HeldFile hold(const std::filesystem::path& home) {
  const std::filesystem::path path = home / "serve.lock";
  if (auto file = HeldFile::hold(path)) return *std::move(file);
  throw base::Error(base::Fault::already_exists,
                    fmt::format("another server{} serves the models of {}: stop it, or give this "
                                "one a home folder of its own (MALINA_HOME)",
                                HeldFile::holder(path), home.string()));
}

}  // namespace

ServingLock::ServingLock(const std::filesystem::path& home) : file_(hold(home)) {}

}  // namespace malina::platform
