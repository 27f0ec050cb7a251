#include "model/adapter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "math/pack_floats.h"

namespace malina::model {

namespace {

// The power of two that brings the largest value near the end of half precision's range, from
// which its numbers of full precision reach furthest down.
float factor_of(const std::vector<float>& values) {
  constexpr int kTarget = 14;  // largest < 2^14, of 65504
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0 || !std::isfinite(largest)) return 1;
  constexpr int kMost = 100;  // the inverse stays a normal number
  return std::ldexp(1.0F, std::clamp(kTarget - 1 - std::ilogb(largest), -kMost, kMost));
}

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

}  // namespace

const math::Encoding& Adapter::encoding() const {
  return *math::find_encoding(storage_ == Storage::half ? "f16" : "f32");
}

std::size_t Adapter::matrix_bytes(std::size_t rank, std::size_t inputs, std::size_t outputs) const {
  return math::packed_bytes(rank, inputs, encoding()) +
         math::packed_bytes(outputs, rank, encoding());
}

void Adapter::reserve(std::size_t bytes, math::Device& device) {
  math::require(buffer_ == nullptr, "adapter", "has its memory already");
  buffer_ = device.allocate(bytes);
}

void Adapter::set(std::size_t layer, Projection projection, std::size_t rank, std::size_t inputs,
                  std::size_t outputs, float scale, const std::vector<float>& a,
                  const std::vector<float>& b) {
  math::require(a.size() == rank * inputs && b.size() == outputs * rank, "adapter",
                "shapes differ");
  if (layers_.size() <= layer) layers_.resize(layer + 1, std::vector<Pair>(kProjections));
  const bool half = storage_ == Storage::half;
  Pair& pair = layers_[layer][static_cast<std::size_t>(projection)];
  pair.a = math::packed_slice(*buffer_, used_, rank, inputs, encoding());
  used_ += math::packed_bytes(rank, inputs, encoding());
  pair.b = math::packed_slice(*buffer_, used_, outputs, rank, encoding());
  used_ += math::packed_bytes(outputs, rank, encoding());
  const float a_factor = half ? factor_of(a) : 1, b_factor = half ? factor_of(b) : 1;
  pair.scale = scale / a_factor / b_factor;
  math::pack_floats(half ? scaled(a, a_factor).data() : a.data(), pair.a);
  math::pack_floats(half ? scaled(b, b_factor).data() : b.data(), pair.b);
}

std::size_t Adapter::bytes() const { return buffer_ == nullptr ? 0 : buffer_->bytes(); }

const Adapter::Pair& Adapter::pair(std::size_t layer, Projection projection) const {
  static const Pair none{};
  if (layer >= layers_.size()) return none;
  return layers_[layer][static_cast<std::size_t>(projection)];
}

}  // namespace malina::model
