#include "platform/stored_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "platform/descriptor.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;
constexpr mode_t kReadOnly = 0444;  // a model in the store never changes

std::uint64_t free_bytes(const path& folder) {
  struct statvfs space{};
  if (statvfs(folder.c_str(), &space) != 0) return 0;
  return std::uint64_t{space.f_bavail} * space.f_frsize;
}

Error no_space(const path& folder, std::uint64_t needed) {
  return Error(Fault::io, fmt::format("not enough space in {}: the model needs {} bytes and {} are "
                                      "free",
                                      folder.string(), needed, free_bytes(folder)));
}

Error write_error(const path& file, std::uint64_t needed) {
  if (errno == ENOSPC || errno == EDQUOT) return no_space(file.parent_path(), needed);
  return base::system_error("cannot write " + file.string());
}

void write_all(const Descriptor& file, const path& name, std::span<const std::byte> bytes,
               std::uint64_t needed) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.number(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw write_error(name, needed);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Claims the whole size at once, so that a full disk is found before the copying. Not every file
// system can; then the writes find out.
void reserve(const Descriptor& file, const path& name, std::uint64_t size) {
  if (size == 0) return;
  if (free_bytes(name.parent_path()) < size) throw no_space(name.parent_path(), size);
  while (::fallocate(file.number(), 0, 0, static_cast<off_t>(size)) != 0) {
    if (errno == EOPNOTSUPP || errno == ENOSYS) return;
    if (errno != EINTR) throw write_error(name, size);
  }
}

// Reads the file from its start to its end; one that ends early, or grows, has changed.
template <typename Take>
void for_pieces(const base::File& file, ByteCounter& counter, Take take) {
  posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const std::uint64_t size = file.size();
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(size, kPieceBytes)));
  for (std::uint64_t done = 0; done < size;) {
    const auto count = static_cast<std::size_t>(std::min(size - done, kPieceBytes));
    const std::span piece = std::span(buffer).first(count);
    file.read_at(done, piece);
    take(piece);
    done += count;
    counter.add(count);
  }
}

}  // namespace

FileFacts file_facts(const path& file) {
  struct stat status{};
  if (stat(file.c_str(), &status) != 0) throw base::system_error("cannot open " + file.string());
  if (S_ISDIR(status.st_mode))
    throw Error(Fault::invalid_argument, file.string() + " is a directory, not a model file");
  if (!S_ISREG(status.st_mode))
    throw Error(Fault::invalid_argument,
                file.string() + " is a pipe or a device, not a model file");
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  return {static_cast<std::uint64_t>(status.st_size),
          status.st_mtim.tv_sec * kNanosecondsPerSecond + status.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(status.st_ino)};
}

base::Digest hash_file(const path& name, ByteCounter& counter) {
  base::Sha256 hash;
  for_pieces(base::File::open(name), counter,
             [&](std::span<const std::byte> piece) { hash.update(piece); });
  return hash.finish();
}

base::Digest model_digest(std::span<const base::Digest> parts) {
  if (parts.size() == 1) return parts.front();
  base::Sha256 hash;
  for (const base::Digest& part : parts) hash.update(part.hex() + "\n");
  return hash.finish();
}

base::Digest copy_file(const path& original, const path& copy, ByteCounter& counter) {
  const base::File from = base::File::open(original);
  const std::uint64_t size = from.size();
  const Descriptor to = Descriptor::open(copy, O_WRONLY | O_CREAT | O_EXCL, kReadOnly);
  const bool shared = ioctl(to.number(), FICLONE, from.descriptor()) == 0;
  base::Sha256 hash;
  if (!shared) {
    reserve(to, copy, size);
    for_pieces(from, counter, [&](std::span<const std::byte> piece) {
      hash.update(piece);
      write_all(to, copy, piece, size);
    });
  }
  // A failed sync is never retried: the system may have dropped the pages that it could not write.
  if (fsync(to.number()) != 0) throw write_error(copy, size);
  // Blocks that are shared are digested from the copy, which nobody changes.
  return shared ? hash_file(copy, counter) : hash.finish();
}

base::Digest link_file(const path& original, const path& copy, ByteCounter& counter) {
  if (::link(original.c_str(), copy.c_str()) != 0) return copy_file(original, copy, counter);
  if (::chmod(copy.c_str(), kReadOnly) != 0)
    throw base::system_error("cannot write " + copy.string());
  const Descriptor file = Descriptor::open(copy, O_RDONLY);
  if (fsync(file.number()) != 0) throw write_error(copy, std::filesystem::file_size(copy));
  return hash_file(copy, counter);
}

}  // namespace malina::platform
