#include "platform/held_file.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

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
  return ::lstat(path.c_str(), &found) == 0 && ::fstat(file.number(), &held) == 0 &&
         found.st_ino == held.st_ino && found.st_dev == held.st_dev;
}

constexpr std::size_t kLongest = 24;  // digits of a process and a line's end

// Empty, or a number on a line, as holders write it.
bool is_own(const Descriptor& file) {
  struct stat facts{};
  if (::fstat(file.number(), &facts) != 0 || !S_ISREG(facts.st_mode)) return false;
  std::array<char, kLongest + 1> text{};
  const auto length = ::pread(file.number(), text.data(), text.size(), 0);
  if (length < 0 || static_cast<std::size_t>(length) > kLongest) return false;
  const std::string_view held(text.data(), static_cast<std::size_t>(length));
  return held.empty() || held.find_first_not_of("0123456789") == held.size() - 1;
}

// Makes it, or opens the one that is there.
std::pair<Descriptor, bool> made_or_opened(const std::filesystem::path& path) {
  Descriptor made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (made) return {std::move(made), false};
  if (errno != EEXIST) throw base::system_error("cannot open " + path.string());
  Descriptor opened(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!opened && errno != ENOENT && errno != ELOOP && errno != EISDIR)
    throw base::system_error("cannot open " + path.string());
  if (!opened && errno == ENOENT) return {};  // it was removed just now
  return {std::move(opened), true};
}

}  // namespace

std::optional<HeldFile> HeldFile::hold(const std::filesystem::path& path) {
  for (;;) {
    auto [file, was_there] = made_or_opened(path);
    if (!file && !was_there) continue;
    if (!file || !is_own(file))
      throw base::Error(base::Fault::already_exists,
                        fmt::format("{} is in the way: it is no file that is held while something "
                                    "is made",
                                    path.string()));
    if (!lock(file, path)) return std::nullopt;
    if (!names(path, file)) continue;
    // For whoever is refused; a full disk is no reason not to hold it.
    const std::string text = fmt::format("{}\n", ::getpid());
    if (::ftruncate(file.number(), 0) == 0) [[maybe_unused]]
      const auto written = ::pwrite(file.number(), text.data(), text.size(), 0);
    return HeldFile(path, std::move(file), was_there);
  }
}

std::string HeldFile::holder(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, kLongest> text{};
  const auto length = file ? ::pread(file.number(), text.data(), text.size(), 0) : 0;
  std::string digits(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  digits.resize(std::min(digits.size(), digits.find_first_not_of("0123456789")));
  return digits.empty() ? "" : fmt::format(" (process {})", digits);
}

void HeldFile::remove() { ::unlink(path_.c_str()); }

}  // namespace malina::platform
