// A directory of its own that goes away with its owner: for tests, and for work that is thrown
// away.
#pragma once

#include <filesystem>

namespace malina::base {

class TemporaryDirectory {
 public:
  TemporaryDirectory();   // under the system's directory for temporary files; throws io
  ~TemporaryDirectory();  // removes it with all that is in it
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace malina::base
