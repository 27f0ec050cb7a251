#include "tune/pooling.h"

namespace malina::tune {

std::string_view name(Pooling pooling) { return pooling == Pooling::mean ? "mean" : "last"; }

void mean_of_rows(const math::Slice& hidden, std::span<const std::size_t> counts,
                  const math::Slice& pooled) {
  const float* row = math::host_floats(hidden);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    float* result = math::host_floats(pooled) + i * pooled.stride;
    for (std::size_t k = 0; k < hidden.columns; ++k) {
      double sum = 0;
      for (std::size_t r = 0; r < counts[i]; ++r) sum += double{row[r * hidden.stride + k]};
      result[k] = static_cast<float>(sum / static_cast<double>(counts[i]));
    }
    row += counts[i] * hidden.stride;
  }
}

void mean_of_rows_backward(const math::Slice& pooled_gradient, std::span<const std::size_t> counts,
                           const math::Slice& hidden_gradient) {
  float* row = math::host_floats(hidden_gradient);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const float* source = math::host_floats(pooled_gradient) + i * pooled_gradient.stride;
    const float share = 1.0F / static_cast<float>(counts[i]);
    for (std::size_t r = 0; r < counts[i]; ++r, row += hidden_gradient.stride)
      for (std::size_t k = 0; k < hidden_gradient.columns; ++k) row[k] = source[k] * share;
  }
}

}  // namespace malina::tune
