// Writes a GGUF file (version 3): first the header, from the metadata and the tensors' shapes, then
// the tensors' data as a stream, so that no whole model has to be in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "format/checkpoint.h"

namespace malina::format {

struct TensorPlan {
  std::string name;
  const math::Encoding* encoding;
  std::vector<std::uint64_t> shape;  // GGUF order: shape[0] is the contiguous dimension
};

// Everything before the data, padded to the alignment (metadata key general.alignment, or 32) where
// there are tensors. Throws invalid_argument where a value does not fit its stored type.
std::vector<std::byte> gguf_header(const Metadata& metadata, std::span<const TensorPlan> tensors);

// The file appears under its name complete, or not at all. One owner, one thread.
class GgufWriter {
 public:
  // Throws what gguf_header throws, and what the reader says of the header: both have one
  // validator, so nothing is written that could not be opened again.
  GgufWriter(const std::filesystem::path& target, const Metadata& metadata,
             std::span<const TensorPlan> tensors,
             base::AtomicFile::Existing existing = base::AtomicFile::Existing::replace);

  // The next bytes of the tensors' data, in the order of the plan, in pieces of any size that do
  // not go past the end of a tensor. Padding is the writer's work.
  void write(std::span<const std::byte> bytes);
  // Throws internal where data is missing.
  void commit();

 private:
  void finish_tensors();

  base::AtomicFile file_;
  std::uint64_t alignment_;
  std::vector<TensorInfo> tensors_;
  std::size_t next_tensor_ = 0;
  std::uint64_t position_ = 0;  // in the file
};

}  // namespace malina::format
