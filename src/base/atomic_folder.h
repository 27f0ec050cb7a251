// A folder that appears under its name complete and on the disk, or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace malina::base {

// Work goes into place(), a folder beside the target (".NAME.PID.part"); commit() syncs it, renames
// it and syncs what it stands in. Files in it are synced by whoever writes them. Without commit the
// folder is removed. One owner, one thread. Failures throw base::Error.
class AtomicFolder {
 public:
  // Throws already_exists where something stands under the name, not_found where the folder around
  // it is missing.
  explicit AtomicFolder(const std::filesystem::path& target);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& place() const { return work_; }
  // A file of this name in place(), synced.
  void write(std::string_view name, std::string_view content) const;
  void commit();

 private:
  std::filesystem::path target_, work_;
};

}  // namespace malina::base
