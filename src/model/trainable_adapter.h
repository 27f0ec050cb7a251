// A low-rank adapter while it is trained (Hu et al., 2021): W' = W + scale * B * A for each linear
// layer of a block, with the gradients of A and B.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "math/device.h"
#include "model/adapter.h"
#include "model/model.h"

namespace malina::model {

struct LowRankOptions {
  std::size_t rank = 16;
  float alpha = 32;
  bool rank_stabilised =
      false;  // scale = alpha / sqrt(rank) (Kalajdzievski, 2023), not alpha / rank
  // Which linear layers; experts and routers never are.
  std::array<bool, kProjections> targets{true, true, true, true, true, true, true};

  float scale() const;
};

// Parameters and gradients are float32, each in one allocation: A then B of each matrix, in order
// of layers and projections. One thread.
class TrainableAdapter {
 public:
  // A is drawn as PEFT does (Kaiming uniform: uniform within 1 / sqrt(inputs)), from `seed` and the
  // place of the matrix alone; B is zero. Throws base::Error(invalid_argument) where the model has
  // none of the targets.
  TrainableAdapter(const Model& model, const LowRankOptions& options, std::uint64_t seed,
                   math::Device& device);

  struct Pair {
    math::Slice a, b;                    // [rank, inputs], [outputs, rank]; absent: not adapted
    math::Slice a_gradient, b_gradient;  // of the same shapes
  };
  const Pair& pair(std::size_t layer, Projection projection) const;
  const LowRankOptions& options() const { return options_; }
  float scale() const { return options_.scale(); }

  // Where each matrix stands in parameters() and gradients().
  struct Matrix {
    std::size_t layer;
    Projection projection;
    bool is_b;
    std::size_t offset, rows, columns;
  };
  const std::vector<Matrix>& matrices() const { return matrices_; }
  std::size_t size() const { return size_; }
  std::size_t layers() const { return layers_.size(); }  // of the model
  // Of the host; null data on a planning device.
  std::span<float> parameters() { return of(*parameters_); }
  std::span<const float> parameters() const { return of(*parameters_); }
  std::span<float> gradients() { return of(*gradients_); }

  // The same values as an adapter to be applied.
  std::shared_ptr<const Adapter> snapshot(const std::string& base_digest,
                                          math::Device& device) const;

 private:
  std::span<float> of(const math::Buffer& buffer) const {
    return {reinterpret_cast<float*>(buffer.host()), buffer.host() == nullptr ? 0 : size_};
  }
  void lay_out(const Model& model);
  void draw(std::uint64_t seed);

  LowRankOptions options_;
  std::vector<Matrix> matrices_;
  std::size_t size_ = 0;
  std::unique_ptr<math::Buffer> parameters_, gradients_;
  std::vector<std::vector<Pair>> layers_;
};

}  // namespace malina::model
