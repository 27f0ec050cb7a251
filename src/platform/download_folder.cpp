#include "platform/download_folder.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/error.h"

namespace malina::platform {

namespace {

void make_folders(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return;
  if (folder.has_relative_path()) make_folders(folder.parent_path());
  constexpr mode_t kPrivate = 0700;
  if (::mkdir(folder.c_str(), kPrivate) != 0 && errno != EEXIST)
    throw base::system_error("cannot create the folder " + folder.string());
}

// A lock on a file that still stands under its name: the one who held it before may have deleted
// it.
Descriptor lock(const std::filesystem::path& name, std::string_view what) {
  while (true) {
    Descriptor file = Descriptor::open(name, O_RDWR | O_CREAT);
    if (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) throw base::system_error("cannot lock " + name.string());
      throw base::Error(base::Fault::io,
                        fmt::format("{} is being pulled by another process already", what));
    }
    struct stat status{};
    if (::fstat(file.number(), &status) == 0 && status.st_nlink > 0) return file;
  }
}

}  // namespace

DownloadFolder::DownloadFolder(const std::filesystem::path& home, std::string_view key,
                               std::string_view shown) {
  base::Sha256 hash;
  hash.update(key);
  path_ = home / "downloads" / hash.finish().hex();
  make_folders(path_);
  lock_ = lock(path_ / "lock", shown);
}

DownloadFolder::~DownloadFolder() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored))
    if (entry.path().extension() != ".state" && entry.file_size(ignored) > 0) return;
  finish();
}

void DownloadFolder::finish() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace malina::platform
