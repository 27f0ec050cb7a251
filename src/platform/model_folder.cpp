#include "platform/model_folder.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <optional>

#include "base/file.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::string_view kMark = "of-";  // then the digest of what this work places or removes
constexpr mode_t kPrivate = 0700;          // an organisation's models are its own

void make_folder(const path& folder) {
  if (::mkdir(folder.c_str(), kPrivate) == 0 || errno == EEXIST) return;
  throw base::system_error("cannot create the folder " + folder.string());
}

void make_folders(const path& folder) {
  if (std::filesystem::exists(folder)) return;
  if (folder.has_relative_path()) make_folders(folder.parent_path());
  make_folder(folder);
}

void rename_folder(const path& from, const path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw base::system_error("cannot move " + from.string() + " to " + to.string());
}

bool is_there(const path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

// The store's name of part `index` of `count`; a split model is recognised by its parts' names.
std::string part_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.gguf";
  return fmt::format("model-{:05}-of-{:05}.gguf", index + 1, count);
}

bool lock_file(const Descriptor& file, int operation) {
  while (flock(file.number(), operation) != 0)
    if (errno != EINTR) return false;
  return true;
}

std::optional<Digest> marked(const path& work) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(work, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kMark)) return Digest::parse(std::string_view(name).substr(kMark.size()));
  }
  return std::nullopt;
}

}  // namespace

Unfinished::~Unfinished() {
  std::error_code ignored;
  if (!open_ && !path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::vector<StoredFile> Unfinished::copy(std::span<const path> files, std::span<const path> names,
                                         bool given, ByteCounter& counter) {
  make_folder(content());
  std::vector<StoredFile> copies;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const path copy = content() / (names.empty() ? path(part_name(i, files.size())) : names[i]);
    if (copy.parent_path() != content() && !is_there(copy.parent_path())) {
      make_folder(copy.parent_path());
      base::sync_directory(content());
    }
    const Digest digest =
        given ? link_file(files[i], copy, counter) : copy_file(files[i], copy, counter);
    copies.push_back({copy, digest, file_facts(copy)});
    if (copy.parent_path() != content()) base::sync_directory(copy.parent_path());
  }
  base::sync_directory(content());
  return copies;
}

void Unfinished::mark(const Digest& digest) {
  Descriptor::open(path_ / (std::string(kMark) + digest.hex()), O_WRONLY | O_CREAT);
  base::sync_directory(path_);
  open_ = true;
}

void ModelFolder::create() const {
  make_folders(home_);
  make_folder(home_ / "models");
  make_folder(models());
  make_folder(unfinished());
}

path ModelFolder::folder(const Digest& digest) const { return models() / digest.hex(); }

Descriptor ModelFolder::lock() const {
  const path name = home_ / "lock";
  Descriptor file = Descriptor::open(name, O_RDWR | O_CREAT, 0600);
  if (!lock_file(file, LOCK_EX)) throw base::system_error("cannot lock " + name.string());
  return file;
}

Unfinished ModelFolder::begin() const {
  std::string name = (unfinished() / "XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw base::system_error("cannot create a folder in " + unfinished().string());
  Unfinished work(name, Descriptor());
  work.lock_ = Descriptor::open(path(name) / "lock", O_RDWR | O_CREAT, 0600);
  if (!lock_file(work.lock_, LOCK_EX | LOCK_NB)) throw base::system_error("cannot lock " + name);
  return work;
}

void ModelFolder::place(Unfinished& work, const Digest& digest,
                        std::vector<StoredFile>& files) const {
  const path target = folder(digest);
  work.mark(digest);
  if (is_there(target)) rename_folder(target, work.replaced());
  rename_folder(work.content(), target);
  base::sync_directory(models());
  for (StoredFile& file : files) file.path = target / file.path.lexically_relative(work.content());
}

void ModelFolder::intend_removal(Unfinished& work, const Digest& digest) const {
  work.mark(digest);
}

void ModelFolder::remove(Unfinished& work, const Digest& digest) const {
  if (is_there(folder(digest))) rename_folder(folder(digest), work.replaced());
  base::sync_directory(models());
}

void ModelFolder::close(Unfinished& work) const { work.open_ = false; }

// Does what it can: what it cannot is left to the next sweep.
void ModelFolder::undo(Unfinished& work, const Digest& digest) const noexcept {
  std::error_code failure;
  const bool placed = !is_there(work.content());
  if (placed) std::filesystem::remove_all(folder(digest), failure);
  if (!failure && is_there(work.replaced()))
    std::filesystem::rename(work.replaced(), folder(digest), failure);
  if (!failure) work.open_ = false;
}

void ModelFolder::sweep(const std::function<bool(const Digest&)>& recorded) const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(unfinished(), ignored))
    if (entry.is_directory(ignored)) sweep_one(entry.path(), recorded);
}

void ModelFolder::sweep_one(const path& work,
                            const std::function<bool(const Digest&)>& recorded) const {
  // A maker makes the lock's file while it holds the store's lock, as this does: none means gone.
  const Descriptor lock(::open((work / "lock").c_str(), O_RDWR | O_CLOEXEC));
  if (lock && !lock_file(lock, LOCK_EX | LOCK_NB)) return;
  std::error_code failure;
  if (const auto digest = marked(work)) {
    const path target = folder(*digest);
    if (!recorded(*digest))
      std::filesystem::remove_all(target, failure);
    else if (!is_there(target) && is_there(work / "replaced"))
      std::filesystem::rename(work / "replaced", target, failure);
  }
  if (!failure) std::filesystem::remove_all(work, failure);
}

}  // namespace malina::platform
