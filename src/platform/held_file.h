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
  // process once more. Throws io where it cannot be made, already_exists where something else
  // stands there: nothing but such a file is written to.
  static std::optional<HeldFile> hold(const std::filesystem::path& path);
  // " (process 123)" of the one that holds it, or last did; "" where none has written it.
  static std::string holder(const std::filesystem::path& path);

  bool was_there() const { return was_there_; }  // another holder had left it
  void remove();                                 // the file too, while it is held

 private:
  HeldFile(std::filesystem::path path, Descriptor file, bool was_there)
      : path_(std::move(path)), file_(std::move(file)), was_there_(was_there) {}

  std::filesystem::path path_;
  Descriptor file_;
  bool was_there_ = false;
};

}  // namespace malina::platform
