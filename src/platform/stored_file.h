// Files of models on disk: their identity, their digest, and a copy that is whole or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/digest.h"
#include "platform/progress.h"

namespace malina::platform {

// What tells cheaply that a file is still the one that was digested.
struct FileFacts {
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970-01-01 UTC
  std::uint64_t inode = 0;
  bool operator==(const FileFacts&) const = default;
};

struct StoredFile {
  std::filesystem::path path;  // absolute
  base::Digest digest;
  FileFacts facts;
};

// Throws base::Error: not_found, io, or invalid_argument where it is a directory, a pipe or a
// device.
FileFacts file_facts(const std::filesystem::path& file);

base::Digest hash_file(const std::filesystem::path& file, ByteCounter& counter);

// The digest that names a model: its file's; of a split model that of its parts' digests, in
// hexadecimal, a line each.
base::Digest model_digest(std::span<const base::Digest> parts);

// Makes `copy`, which must not exist, hold what `original` holds, and returns the digest of it. It
// shares the original's blocks where the file system can, needs no space then, and is read only.
// The bytes are on disk when this returns. A disk without room gives io with the bytes needed and
// free, found before anything is written where the file system can tell.
base::Digest copy_file(const std::filesystem::path& original, const std::filesystem::path& copy,
                       ByteCounter& counter);

// As copy_file(), for a file that nobody else uses: where the file system can, `copy` is another
// name of it, read only, and needs no space. Whoever gave it deletes the first name.
base::Digest link_file(const std::filesystem::path& original, const std::filesystem::path& copy,
                       ByteCounter& counter);

}  // namespace malina::platform
