#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/error.h"

namespace malina::base {

namespace {

// Linux transfers at most 2^31 - 4096 bytes a call, whatever is asked.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

std::string_view kind(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer. It means nothing for a regular file.
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), path);
  if (file.descriptor_ < 0) throw system_error("cannot open " + file.name());
  struct stat status{};
  if (::fstat(file.descriptor_, &status) != 0) throw system_error("cannot open " + file.name());
  if (!S_ISREG(status.st_mode))
    throw Error(Fault::invalid_argument,
                fmt::format("{} is {}, not a file", file.name(), kind(status.st_mode)));
  return file;
}

File File::create(const std::filesystem::path& path) {
  File file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666), path);
  if (file.descriptor_ >= 0) return file;
  if (errno == EEXIST) throw Error(Fault::already_exists, file.name() + " exists already");
  throw system_error("cannot create " + file.name());
}

File File::append(const std::filesystem::path& path) {
  File file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666),
      path);
  if (file.descriptor_ < 0) throw system_error("cannot write " + file.name());
  struct stat status{};
  if (::fstat(file.descriptor_, &status) != 0) throw system_error("cannot write " + file.name());
  if (!S_ISREG(status.st_mode))
    throw Error(Fault::invalid_argument,
                fmt::format("{} is {}, not a file", file.name(), kind(status.st_mode)));
  return file;
}

std::uint64_t File::size() const {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) throw system_error("cannot read the size of " + name());
  return static_cast<std::uint64_t>(status.st_size);
}

void File::read_at(std::uint64_t offset, std::span<std::byte> output) const {
  constexpr auto kLastOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kLastOffset || output.size() > kLastOffset - offset)
    throw Error(Fault::internal,
                fmt::format("{}: read of {} bytes at {}", name(), output.size(), offset));
  while (!output.empty()) {
    const ssize_t count = ::pread(descriptor_, output.data(), std::min(output.size(), kMostAtOnce),
                                  static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error("cannot read " + name());
    if (count == 0)
      throw Error(Fault::corrupt_file,
                  fmt::format("{} was cut short while being read: it ends at byte {}, and byte {} "
                              "was to be read",
                              name(), size(), offset + output.size() - 1));
    output = output.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void File::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error("cannot write " + name());
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void File::sync() {
  if (::fsync(descriptor_) != 0) throw system_error("cannot write " + name() + " to the disk");
}

void File::close() {
  // The descriptor is gone even where close fails (Linux), so it is never closed twice.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
    throw system_error("cannot finish writing " + name());
}

void sync_directory(const std::filesystem::path& directory) {
  const std::string name = directory.empty() ? "." : directory.string();
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("cannot open the directory " + name);
  const int result = ::fsync(descriptor);
  const int code = errno;
  ::close(descriptor);
  errno = code;
  // Some file systems cannot sync a directory at all; they then have nothing to lose by it.
  if (result != 0 && code != EINVAL && code != ENOTSUP)
    throw system_error("cannot write the directory " + name + " to the disk");
}

}  // namespace malina::base
