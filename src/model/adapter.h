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

// Immutable, shared. Matrices are float32 in device memory.
class Adapter {
 public:
  struct Pair {
    math::Slice a, b;  // [rank, inputs], [outputs, rank]; absent where not adapted
    float scale = 1;
  };

  explicit Adapter(std::string base_digest) : base_digest_(std::move(base_digest)) {}

  // Copies the values in. a: rank * inputs floats, row-major; b: outputs * rank.
  void set(std::size_t layer, Projection projection, std::size_t rank, std::size_t inputs,
           std::size_t outputs, float scale, const std::vector<float>& a,
           const std::vector<float>& b, math::Device& device);
  const Pair& pair(std::size_t layer, Projection projection) const;
  const std::string& base_digest() const { return base_digest_; }

 private:
  std::string base_digest_;
  std::vector<std::vector<Pair>> layers_;
  std::vector<std::unique_ptr<math::Buffer>> buffers_;
};

}  // namespace malina::model
