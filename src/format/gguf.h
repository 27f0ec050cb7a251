// The GGUF format, versions 2 and 3, little-endian: one file parsed and validated.
//
// Source: docs/gguf.md and src/gguf.cpp of ggml. Everything that ggml refuses is refused here, and
// two things more: a boolean other than 0 and 1, and tensor data that ends after the end of the
// file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace malina::format {

struct GgufFile {
  std::uint32_t version = 0;
  Metadata metadata;
  std::vector<TensorInfo> tensors;  // in file order, all with .file = 0; names are unique
  std::uint64_t data_offset = 0;    // where the first tensor begins; 0 without tensors
};

// `bytes` is the file from its start, or at least its header and tensor table; `file_size` is the
// size of the whole. `name` is for messages. The metadata's strings point into `bytes`, which
// `owner` keeps alive. Allocates no more than max(file_size, 64 MiB) and a constant, whatever the
// file says. Throws corrupt_file or unsupported.
GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name,
                    std::uint64_t file_size, std::shared_ptr<const void> owner = nullptr);

}  // namespace malina::format
