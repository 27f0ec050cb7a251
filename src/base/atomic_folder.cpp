#include "base/atomic_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/error.h"

namespace malina::base {

namespace {

using std::filesystem::path;

// "model", as in ".../model/": without what a trailing slash leaves behind.
path without_slash(const path& target) {
  const path normal = target.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// "." where the name stands alone.
path around(const path& target) {
  return target.has_parent_path() ? target.parent_path() : path(".");
}

}  // namespace

AtomicFolder::AtomicFolder(const path& target) : target_(without_slash(target)) {
  std::error_code failure;
  if (std::filesystem::exists(target_, failure))
    throw Error(Fault::already_exists,
                target.string() + ": exists already; name a directory that does not");
  const path work =
      around(target_) /
      fmt::format(".{}.{}.part", target_.filename().string().substr(0, 200), ::getpid());
  std::filesystem::remove_all(work, failure);  // of a process that had this number
  if (!std::filesystem::create_directory(work, failure))
    throw Error(failure == std::errc::no_such_file_or_directory ? Fault::not_found : Fault::io,
                fmt::format("cannot create {}: {}", target_.string(), failure.message()));
  work_ = work;
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!work_.empty()) std::filesystem::remove_all(work_, ignored);
}

void AtomicFolder::write(std::string_view name, std::string_view content) const {
  AtomicFile file(work_ / name);
  file.write(content);
  file.commit();
}

void AtomicFolder::commit() {
  sync_directory(work_);
  std::error_code failure;
  std::filesystem::rename(work_, target_, failure);
  if (failure)
    throw Error(Fault::io,
                fmt::format("cannot create {}: {}", target_.string(), failure.message()));
  work_.clear();
  sync_directory(around(target_));
}

}  // namespace malina::base
