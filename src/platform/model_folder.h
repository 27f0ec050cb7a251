// The folder that holds the files of models, each model in a folder of its digest:
//
//   models/sha256/HEX/model.gguf     or model-00001-of-00003.gguf and so on; or config.json,
//                                    model.safetensors and so on, as a directory has them
//   models/unfinished/XXXXXX/        work in progress; its maker holds a lock in it
//
// A model appears in sha256/ by one rename, after all its bytes are on disk. Work that did not
// reach its record is found by its folder in unfinished/, whose maker is gone, and undone by
// sweep(). Nothing else in sha256/ is ever deleted unasked, so a lost database does not cost the
// models.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "base/digest.h"
#include "platform/descriptor.h"
#include "platform/stored_file.h"

namespace malina::platform {

// A folder under unfinished/, and the lock in it. Destroyed, it deletes the folder, unless a change
// of sha256/ is still open in it: that is left to sweep().
class Unfinished {
 public:
  Unfinished(std::filesystem::path path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  Unfinished(Unfinished&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
  Unfinished& operator=(Unfinished&&) = delete;
  ~Unfinished();

  // Copies a model's files here; returns them in order. `names`: relative paths that a directory's
  // files keep, one each; of a GGUF file there are none, and its parts get the store's names. Files
  // that are `given` are linked where the file system can.
  std::vector<StoredFile> copy(std::span<const std::filesystem::path> files,
                               std::span<const std::filesystem::path> names, bool given,
                               ByteCounter& counter);

 private:
  friend class ModelFolder;
  std::filesystem::path content() const { return path_ / "content"; }
  std::filesystem::path replaced() const { return path_ / "replaced"; }
  void mark(const base::Digest& digest);

  std::filesystem::path path_;
  Descriptor lock_;
  bool open_ = false;
};

class ModelFolder {
 public:
  explicit ModelFolder(std::filesystem::path home) : home_(std::move(home)) {}

  // Creates what is missing. Throws base::Error(io).
  void create() const;
  std::filesystem::path folder(const base::Digest& digest) const;

  // Only one process at a time changes what is placed or recorded: hold the lock from looking at
  // the records until the change is committed. Never while copying or hashing.
  Descriptor lock() const;

  // The following need the lock.
  Unfinished begin() const;
  // Moves the copied files to their place, instead of any that stand there, and gives `files` their
  // new paths. To be followed by close() when the record is committed, or by undo().
  void place(Unfinished& work, const base::Digest& digest, std::vector<StoredFile>& files) const;
  // Notes that the files of `digest` must go, before their record does; then comes remove().
  void intend_removal(Unfinished& work, const base::Digest& digest) const;
  void remove(Unfinished& work, const base::Digest& digest) const;
  // Place, commit, close. Where the commit fails after place(), undo(); after intend_removal(),
  // close().
  void close(Unfinished& work) const;
  void undo(Unfinished& work, const base::Digest& digest) const noexcept;
  // Undoes or completes the work of makers that are gone; `recorded` says whether a record needs
  // the files of a digest.
  void sweep(const std::function<bool(const base::Digest&)>& recorded) const;

 private:
  std::filesystem::path models() const { return home_ / "models" / "sha256"; }
  std::filesystem::path unfinished() const { return home_ / "models" / "unfinished"; }
  void sweep_one(const std::filesystem::path& work,
                 const std::function<bool(const base::Digest&)>& recorded) const;

  std::filesystem::path home_;
};

}  // namespace malina::platform
