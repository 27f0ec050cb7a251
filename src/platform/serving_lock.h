// One server at a time on a home folder: quotas and memory are counted in one process.
#pragma once

#include <filesystem>

#include "platform/descriptor.h"

namespace malina::platform {

// Held while it exists. It is the kernel's lock (flock) of an open file, so it goes with the
// process, however that ends; the file itself stays, and names the process that last held it.
class ServingLock {
 public:
  // `home` is there. Throws already_exists, naming the process, where another one holds it (or this
  // one, once more); io where the file cannot be made.
  explicit ServingLock(const std::filesystem::path& home);

 private:
  Descriptor file_;
};

}  // namespace malina::platform
