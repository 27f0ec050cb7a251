#include "math/ops/weight_gradients.h"

#include <algorithm>

#include "math/ops/gradient_kernels.h"

namespace malina::math {
namespace {

constexpr std::size_t kTaskColumns = 192;  // of W, by one group of its rows
constexpr std::size_t kEmbeddingColumns = 64;

bool is_packed_float(const Slice& slice) {
  return slice.encoding != nullptr && slice.encoding->name == "f32";
}

Cost cost_of_rows(const Slice& output_gradient, const Slice& gradient, double multiply_adds) {
  return {output_gradient.bytes() + gradient.bytes(), gradient.bytes(),
          multiply_adds * static_cast<double>(output_gradient.rows) *
              static_cast<double>(output_gradient.columns)};
}

void check_norm(const Slice& input, const Slice& output_gradient, const Slice& gradient,
                std::string_view name) {
  require(input.rows == output_gradient.rows && input.columns == output_gradient.columns &&
              gradient.columns == input.columns && gradient.encoding == nullptr,
          name, "shapes differ");
}

// Row by row, on one thread: a vector of sums is little work.
template <class Kernel>
void add_rows(const Slice& input, const Slice& output_gradient, const Slice& gradient,
              float epsilon, Kernel kernel) {
  for (std::size_t i = 0; i < input.rows; ++i)
    kernel(host_floats(input) + i * input.stride, epsilon,
           host_floats(output_gradient) + i * output_gradient.stride, input.columns,
           host_floats(gradient));
}

}  // namespace

void LinearWeightGradient::check() const {
  require(input.rows == output_gradient.rows && gradient.rows == output_gradient.columns &&
              gradient.columns == input.columns,
          kName, "shapes differ");
  require(
      is_packed_float(gradient) && input.encoding == nullptr && output_gradient.encoding == nullptr,
      kName, "the gradient is no packed float32, or its factors are packed");
}

Cost LinearWeightGradient::cost() const {
  return {input.bytes() + output_gradient.bytes() + gradient.bytes(), gradient.bytes(),
          static_cast<double>(input.rows) * static_cast<double>(gradient.rows) *
              static_cast<double>(gradient.columns)};
}

// A group of 16 rows of W is, packed, the matrix [columns of W, 16]: x^T dy of 16 columns of dy.
void LinearWeightGradient::compute(CpuContext& context) const {
  const auto product = gradient_kernels(context.isa).product;
  const std::size_t groups = (gradient.rows + kGroupRows - 1) / kGroupRows;
  const std::size_t pieces = (gradient.columns + kTaskColumns - 1) / kTaskColumns;
  context.pool.run(groups * pieces, [&](std::size_t task) {
    const std::size_t row = task / pieces * kGroupRows;
    const std::size_t column = task % pieces * kTaskColumns;
    const std::size_t columns = std::min(kTaskColumns, gradient.columns - column);
    product({host_floats(input) + column, 1, input.stride}, host_floats(output_gradient) + row,
            output_gradient.stride, columns, input.rows,
            std::min<std::size_t>(kGroupRows, gradient.rows - row), 1, true,
            host_floats(gradient) + row * gradient.columns + column * kGroupRows, kGroupRows);
  });
}

void BiasGradient::check() const {
  require(gradient.columns == output_gradient.columns && gradient.encoding == nullptr, kName,
          "shapes differ");
}

Cost BiasGradient::cost() const { return cost_of_rows(output_gradient, gradient, 1); }

void BiasGradient::compute(CpuContext&) const {
  float* sums = host_floats(gradient);
  for (std::size_t i = 0; i < output_gradient.rows; ++i) {
    const float* row = host_floats(output_gradient) + i * output_gradient.stride;
    for (std::size_t k = 0; k < output_gradient.columns; ++k) sums[k] += row[k];
  }
}

void RmsNormWeightGradient::check() const { check_norm(input, output_gradient, gradient, kName); }

Cost RmsNormWeightGradient::cost() const { return cost_of_rows(output_gradient, gradient, 3); }

void RmsNormWeightGradient::compute(CpuContext& context) const {
  add_rows(input, output_gradient, gradient, epsilon,
           gradient_kernels(context.isa).rms_norm_weight);
}

void LayerNormWeightGradient::check() const { check_norm(input, output_gradient, gradient, kName); }

Cost LayerNormWeightGradient::cost() const { return cost_of_rows(output_gradient, gradient, 4); }

void LayerNormWeightGradient::compute(CpuContext& context) const {
  add_rows(input, output_gradient, gradient, epsilon,
           gradient_kernels(context.isa).layer_norm_weight);
}

void EmbedRowsGradient::check() const {
  require(is_packed_float(gradient) && gradient.columns == output_gradient.columns &&
              output_gradient.rows == tokens.size(),
          kName, "shapes differ");
  for (const std::int32_t token : tokens)
    require(token >= 0 && static_cast<std::size_t>(token) < gradient.rows, kName,
            "a token is outside of the vocabulary");
}

Cost EmbedRowsGradient::cost() const {
  return {2 * output_gradient.bytes(), output_gradient.bytes(),
          static_cast<double>(output_gradient.rows) * static_cast<double>(output_gradient.columns)};
}

// By columns, since several rows of the batch may have the same token.
void EmbedRowsGradient::compute(CpuContext& context) const {
  const std::size_t pieces = (gradient.columns + kEmbeddingColumns - 1) / kEmbeddingColumns;
  context.pool.run(pieces, [&](std::size_t piece) {
    const std::size_t end = std::min(gradient.columns, (piece + 1) * kEmbeddingColumns);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto token = static_cast<std::size_t>(tokens[i]);
      const float* row = host_floats(output_gradient) + i * output_gradient.stride;
      float* group = host_floats(gradient) + token / kGroupRows * kGroupRows * gradient.columns +
                     token % kGroupRows;
      for (std::size_t k = piece * kEmbeddingColumns; k < end; ++k)
        group[k * kGroupRows] += scale * row[k];
    }
  });
}

}  // namespace malina::math
