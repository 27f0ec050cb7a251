#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/error.h"

namespace malina::base {

namespace {

// So much of the file's name that, with what is added, a name stays within 255 bytes.
constexpr std::size_t kMostOfName = 200;

// Unique among the processes and threads of a machine; a leftover of a crashed process with the
// same number is stepped over.
std::filesystem::path temporary_name(const std::filesystem::path& target) {
  static std::atomic<unsigned> counter = 0;
  const std::string shown = target.filename().string().substr(0, kMostOfName);
  return target.parent_path() /
         fmt::format(".{}.{}-{}.part", shown, ::getpid(), counter.fetch_add(1));
}

File create_beside(const std::filesystem::path& target) {
  constexpr int kTries = 100;
  for (int i = 1;; ++i) {
    const std::string name = temporary_name(target).string();
    try {
      return File::create(name);
    } catch (const Error& error) {
      if (error.fault() == Fault::already_exists && i < kTries) continue;
      // The name that the user knows, not the one beside it.
      std::string message = error.what();
      if (const auto at = message.find(name); at != std::string::npos)
        message.replace(at, name.size(), target.string());
      throw Error(error.fault(), message);
    }
  }
}

void refuse_special(const std::filesystem::path& target) {
  std::error_code ignored;
  const auto status = std::filesystem::status(target, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} is not a regular file, which alone can be replaced", target.string()));
}

// Refuses (EEXIST) a name that is taken, in one step with taking it.
int rename_to_free_name(const char* from, const char* to) {
  const int result = ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
  if (result == 0 || (errno != EINVAL && errno != ENOSYS)) return result;
  // A file system without this call: the other one that refuses taken names.
  if (::link(from, to) != 0) return -1;
  ::unlink(from);
  return 0;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target, Existing existing)
    : target_(std::move(target)), existing_(existing) {
  if (target_.filename().empty())
    throw Error(Fault::invalid_argument, "'" + target_.string() + "' does not name a file");
  refuse_special(target_);
  file_.emplace(create_beside(target_));
  temporary_ = file_->path();
}

AtomicFile::~AtomicFile() {
  if (file_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  file_->sync();
  const int result = existing_ == Existing::replace
                         ? ::rename(temporary_.c_str(), target_.c_str())
                         : rename_to_free_name(temporary_.c_str(), target_.c_str());
  if (result != 0 && errno == EEXIST)
    throw Error(Fault::already_exists, target_.string() + " exists already");
  if (result != 0) throw system_error("cannot create " + target_.string());
  file_.reset();
  sync_directory(target_.parent_path());
}

}  // namespace malina::base
