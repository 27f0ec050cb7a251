// A file that appears under its name complete and on the disk, or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/file.h"

namespace malina::base {

// Writes beside the target under a temporary name (".NAME.XXXX.part"); commit() syncs, renames over
// the target and syncs the directory. Without commit, and after any failure, the temporary file is
// removed and the target is as it was (save where only the directory's sync failed: then it stands
// under its name already, and commit() throws because a power loss could undo that). One owner, one
// thread. Failures throw base::Error.
class AtomicFile {
 public:
  enum class Existing { replace, refuse };  // refuse: commit throws already_exists

  explicit AtomicFile(std::filesystem::path target, Existing existing = Existing::replace);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { file_->write_all(bytes); }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // For what writes by itself (reflink, copy_file_range): the descriptor, and its path until
  // commit.
  const File& file() const { return *file_; }
  void commit();

 private:
  std::filesystem::path target_;
  Existing existing_;
  std::optional<File> file_;  // none after commit
  std::filesystem::path temporary_;
};

}  // namespace malina::base
