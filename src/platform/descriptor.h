// A file descriptor with an owner, for what base::File has no part in: locks, and writes whose
// errno decides what is said.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/error.h"

namespace malina::platform {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  // Throws "cannot open /x: ..." (not_found, io). Child processes do not inherit it.
  static Descriptor open(const std::filesystem::path& path, int flags, mode_t mode = 0600) {
    const int number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (number < 0) throw base::system_error("cannot open " + path.string());
    return Descriptor(number);
  }

  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

}  // namespace malina::platform
