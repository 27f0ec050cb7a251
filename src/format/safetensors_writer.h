// Writes a safetensors file: first the header, from the tensors' names and shapes, then their data
// as a stream, so that no whole model has to be in memory.
//
// Source: README.md of huggingface/safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "math/encoding.h"

namespace malina::format {

struct SafetensorsPlan {
  std::string name;                  // UTF-8, unique in the file
  const math::Encoding* encoding;    // f32, f16 or bf16
  std::vector<std::uint64_t> shape;  // row-major: the last dimension is the contiguous one
  std::uint64_t bytes() const;       // checked: throws unsupported beyond 64 bits
};

// The file appears under its name complete, or not at all. One owner, one thread.
class SafetensorsWriter {
 public:
  // Throws internal where an encoding is none of the three, and what base::AtomicFile throws.
  SafetensorsWriter(const std::filesystem::path& target, std::span<const SafetensorsPlan> tensors);

  // The next bytes of the tensors' data, in the order of the plan, in pieces of any size. Throws
  // internal where they are more than the plan has.
  void write(std::span<const std::byte> bytes);
  void commit();  // throws internal where data is missing

 private:
  base::AtomicFile file_;
  std::uint64_t missing_ = 0;  // bytes of data that are still to come
};

}  // namespace malina::format
