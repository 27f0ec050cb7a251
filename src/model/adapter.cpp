#include "model/adapter.h"

#include <algorithm>
#include <utility>

namespace malina::model {

void Adapter::set(std::size_t layer, Projection projection, std::size_t rank, std::size_t inputs,
                  std::size_t outputs, float scale, const std::vector<float>& a,
                  const std::vector<float>& b, math::Device& device) {
  math::require(a.size() == rank * inputs && b.size() == outputs * rank, "adapter",
                "shapes differ");
  if (layers_.size() <= layer) layers_.resize(layer + 1, std::vector<Pair>(kProjections));
  auto buffer = device.allocate((a.size() + b.size()) * sizeof(float));
  Pair& pair = layers_[layer][static_cast<std::size_t>(projection)];
  pair.a = math::float_slice(*buffer, 0, rank, inputs);
  pair.b = math::float_slice(*buffer, a.size() * sizeof(float), outputs, rank);
  pair.scale = scale;
  if (buffer->host() != nullptr) {
    std::copy(a.begin(), a.end(), math::host_floats(pair.a));
    std::copy(b.begin(), b.end(), math::host_floats(pair.b));
  }
  buffers_.push_back(std::move(buffer));
}

const Adapter::Pair& Adapter::pair(std::size_t layer, Projection projection) const {
  static const Pair none{};
  if (layer >= layers_.size()) return none;
  return layers_[layer][static_cast<std::size_t>(projection)];
}

}  // namespace malina::model
