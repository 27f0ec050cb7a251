// One server at a time on a home folder: quotas and memory are counted in one process.
#pragma once

#include <filesystem>

#include "platform/held_file.h"

namespace malina::platform {

class ServingLock {
 public:
  // `home` is there. Throws already_exists, naming the process, where another one holds it (or this
  // one, once more); io where the file cannot be made.
  explicit ServingLock(const std::filesystem::path& home);

 private:
  HeldFile file_;
};

}  // namespace malina::platform
