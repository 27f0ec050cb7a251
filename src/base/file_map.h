// A whole file as read-only memory, which a file that shrinks underneath cannot turn into a crash.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>

#include "base/file.h"

namespace malina::base {

struct MapRecord;  // of the process-wide list that the signal handler reads

// Immutable; many threads may read. Where a page cannot be had any more (the file was cut short,
// the disk failed), the reader sees zeros instead of SIGBUS, and check() throws from then on:
// whoever read from the map checks before believing what was read.
//
// The first map of a process installs a SIGBUS handler, which passes faults that are not its own to
// the handler that was there before.
class FileMap {
 public:
  explicit FileMap(File file);
  ~FileMap();
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }  // empty for an empty file
  const File& file() const { return file_; }

  bool damaged() const;
  // Throws corrupt_file ("FILE was cut short while being read") or io (the disk failed) if damaged.
  void check() const;

 private:
  File file_;
  std::span<const std::byte> bytes_;
  MapRecord* record_ = nullptr;
};

}  // namespace malina::base
