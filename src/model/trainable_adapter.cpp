#include "model/trainable_adapter.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/adapter_tensors.h"

namespace malina::model {

using base::Error;
using base::Fault;
using math::Slice;

namespace {

std::size_t aligned(std::size_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace

float LowRankOptions::scale() const {
  const auto size = static_cast<double>(rank);  // as PEFT computes it
  return static_cast<float>(alpha / (rank_stabilised ? std::sqrt(size) : size));
}

TrainableAdapter::TrainableAdapter(const Model& model, const LowRankOptions& options,
                                   std::uint64_t seed, math::Device& device)
    : options_(options) {
  math::require(options.rank > 0, "trainable adapter", "a rank of 0");
  lay_out(model);
  if (matrices_.empty())
    throw Error(Fault::invalid_argument,
                "the model has none of the layers that were to be adapted");
  parameters_ = device.allocate(size_ * sizeof(float));
  gradients_ = device.allocate(size_ * sizeof(float));
  layers_.assign(model.sizes().layers, std::vector<Pair>(kProjections));
  for (const Matrix& matrix : matrices_) {
    Pair& pair = layers_[matrix.layer][static_cast<std::size_t>(matrix.projection)];
    const auto slice = [&](const math::Buffer& buffer) {
      return math::float_slice(buffer, matrix.offset * sizeof(float), matrix.rows, matrix.columns);
    };
    (matrix.is_b ? pair.b : pair.a) = slice(*parameters_);
    (matrix.is_b ? pair.b_gradient : pair.a_gradient) = slice(*gradients_);
  }
  if (parameters_->host() != nullptr) draw(seed);
}

void TrainableAdapter::lay_out(const Model& model) {
  const auto add = [&](std::size_t layer, Projection projection, bool is_b, std::size_t rows,
                       std::size_t columns) {
    matrices_.push_back({layer, projection, is_b, size_, rows, columns});
    size_ += aligned(rows * columns);
  };
  for (std::size_t layer = 0; layer < model.sizes().layers; ++layer) {
    for (std::size_t i = 0; i < kProjections; ++i) {
      const auto projection = static_cast<Projection>(i);
      const Slice& weight = weight_of(model.layers()[layer], projection);
      if (!options_.targets[i] || !weight) continue;
      add(layer, projection, false, options_.rank, weight.columns);
      add(layer, projection, true, weight.rows, options_.rank);
    }
  }
}

void TrainableAdapter::draw(std::uint64_t seed) {
  for (const Matrix& matrix : matrices_) {
    if (matrix.is_b) continue;  // allocated as zeros
    const std::uint64_t place =
        matrix.layer * kProjections + static_cast<std::uint64_t>(matrix.projection) + 1;
    base::Random random(seed ^ (place * 0x9E3779B97F4A7C15ULL));
    const float bound = 1.0F / std::sqrt(static_cast<float>(matrix.columns));
    float* values = parameters().data() + matrix.offset;
    for (std::size_t i = 0; i < matrix.rows * matrix.columns; ++i)
      values[i] = random.uniform(-bound, bound);
  }
}

const TrainableAdapter::Pair& TrainableAdapter::pair(std::size_t layer,
                                                     Projection projection) const {
  return layers_[layer][static_cast<std::size_t>(projection)];
}

std::shared_ptr<const Adapter> TrainableAdapter::snapshot(const std::string& base_digest,
                                                          math::Device& device) const {
  return to_adapter(tensors_of(*this), base_digest, device);
}

}  // namespace malina::model
