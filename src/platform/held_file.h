// A file that one holder at a time has, which other processes see.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "platform/descriptor.h"

namespace malina::platform {

// Held while it exists. It is the kernel's lock (flock) of an open file, so it goes with the
// process, however that ends; the file itself stays, and names the process that last held it.
class HeldFile {
 public:
  // The file is made, in a folder that is there. Nullopt where another one holds it, or this
  // process once more. Throws io where it cannot be made.
  static std::optional<HeldFile> hold(const std::filesystem::path& path);
  // " (process 123)" of the one that holds it, or last did; "" where none has written it.
  static std::string holder(const std::filesystem::path& path);

  void remove();  // the file too, while it is held

 private:
  HeldFile(std::filesystem::path path, Descriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::filesystem::path path_;
  Descriptor file_;
};

}  // namespace malina::platform
