// A file descriptor with an owner, and reads and writes that either do all of it or throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace malina::base {

// Movable, one owner. Reading is safe from many threads at once. Every failure throws base::Error
// (not_found, io, ...) naming the path.
class File {
 public:
  // A regular file, for reading. A directory, a device and the like are refused (invalid_argument).
  static File open(const std::filesystem::path& path);
  // A new, empty file for writing; one that is there already is refused (already_exists).
  static File create(const std::filesystem::path& path);
  // A regular file, to be read and written at its end; created where it is not there.
  static File append(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }
  std::string name() const { return path_.string(); }
  std::uint64_t size() const;  // now, not when it was opened

  // Fills the whole output from `offset`. A file that ends before throws corrupt_file.
  void read_at(std::uint64_t offset, std::span<std::byte> output) const;
  void write_all(std::span<const std::byte> bytes);
  void sync();   // to the disk; after a failure nothing written can be relied upon
  void close();  // reports what the destructor could only swallow

 private:
  File(int descriptor, std::filesystem::path path);

  int descriptor_ = -1;
  std::filesystem::path path_;
};

// Makes what was created, renamed or removed in a directory survive a power loss.
void sync_directory(const std::filesystem::path& directory);

}  // namespace malina::base
