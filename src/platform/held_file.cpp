#include "platform/held_file.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace malina::platform {

namespace {

// False where another holds it.
bool lock(const Descriptor& file, const std::filesystem::path& path) {
  while (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw base::system_error("cannot lock " + path.string());
    return false;
  }
  return true;
}

// Whether the path still names the file: its last holder may have removed it.
bool names(const std::filesystem::path& path, const Descriptor& file) {
  struct stat found{}, held{};
  return ::stat(path.c_str(), &found) == 0 && ::fstat(file.number(), &held) == 0 &&
         found.st_ino == held.st_ino && found.st_dev == held.st_dev;
}

}  // namespace

std::optional<HeldFile> HeldFile::hold(const std::filesystem::path& path) {
  for (;;) {
    Descriptor file = Descriptor::open(path, O_RDWR | O_CREAT, 0600);
    if (!lock(file, path)) return std::nullopt;
    if (!names(path, file)) continue;
    // For whoever is refused; a full disk is no reason not to hold it.
    const std::string text = fmt::format("{}\n", ::getpid());
    if (::ftruncate(file.number(), 0) == 0) [[maybe_unused]]
      const auto written = ::pwrite(file.number(), text.data(), text.size(), 0);
    return HeldFile(path, std::move(file));
  }
}

std::string HeldFile::holder(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 24> text{};
  const auto length = file ? ::pread(file.number(), text.data(), text.size(), 0) : 0;
  std::string digits(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  digits.resize(std::min(digits.size(), digits.find_first_not_of("0123456789")));
  return digits.empty() ? "" : fmt::format(" (process {})", digits);
}

void HeldFile::remove() { ::unlink(path_.c_str()); }

}  // namespace malina::platform
