// A low-rank adapter in memory (Hu et al., 2021): for each adapted matrix W' = W + scale * B * A.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "math/device.h"

namespace malina::model {

// The seven linear layers of a block.
enum class Projection : std::size_t { query, key, value, output, gate, up, down };
inline constexpr std::size_t kProjections = 7;

// Immutable, shared. Matrices are packed in device memory: in float32 or, for serving, in half
// precision with a power of two as scale, which keeps 11 bits of every value near the largest and
// takes half of the traffic, which is what an adapter costs.
class Adapter {
 public:
  enum class Storage { single, half };
  struct Pair {
    math::Slice a, b;  // packed [rank, inputs], [outputs, rank]; absent where not adapted
    float scale = 1;
  };

  explicit Adapter(std::string base_digest, Storage storage = Storage::single)
      : base_digest_(std::move(base_digest)), storage_(storage) {}

  // Once, before set(): device memory for all of its matrices, each of which takes matrix_bytes().
  // One allocation: large pages, for what every step reads from end to end.
  void reserve(std::size_t bytes, math::Device& device);
  std::size_t matrix_bytes(std::size_t rank, std::size_t inputs, std::size_t outputs) const;
  // Copies the values in. a: rank * inputs floats, row-major; b: outputs * rank.
  void set(std::size_t layer, Projection projection, std::size_t rank, std::size_t inputs,
           std::size_t outputs, float scale, const std::vector<float>& a,
           const std::vector<float>& b);
  const Pair& pair(std::size_t layer, Projection projection) const;
  const std::string& base_digest() const { return base_digest_; }
  std::size_t bytes() const;  // of device memory

 private:
  const math::Encoding& encoding() const;

  std::string base_digest_;
  Storage storage_;
  std::vector<std::vector<Pair>> layers_;
  std::unique_ptr<math::Buffer> buffer_;
  std::size_t used_ = 0;  // bytes of it
};

}  // namespace malina::model
