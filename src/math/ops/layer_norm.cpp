#include "math/ops/layer_norm.h"

#include "math/ops/gradient_kernels.h"
#include "math/ops/row_kernels.h"

namespace malina::math {

void LayerNorm::check() const {
  require(input.rows == output.rows && input.columns == output.columns &&
              weight.columns == input.columns && (!bias || bias.columns == input.columns),
          kName, "shapes differ");
}

Cost LayerNorm::cost() const {
  return {input.bytes() + weight.bytes() + (bias ? bias.bytes() : 0), output.bytes(),
          3.0 * static_cast<double>(input.rows) * static_cast<double>(input.columns)};
}

void LayerNorm::compute(CpuContext& context) const {
  const auto kernel = row_kernels(context.isa).layer_norm;
  const auto one = [&](std::size_t i) {
    kernel(host_floats(input) + i * input.stride, host_floats(weight),
           bias ? host_floats(bias) : nullptr, epsilon, input.columns,
           host_floats(output) + i * output.stride);
  };
  if (input.rows * input.columns < 16384)
    for (std::size_t i = 0; i < input.rows; ++i) one(i);
  else
    context.pool.run(input.rows, one);
}

void LayerNormBackward::check() const {
  require(input.rows == output_gradient.rows && input.columns == output_gradient.columns &&
              input.rows == input_gradient.rows && input.columns == input_gradient.columns &&
              weight.columns == input.columns,
          kName, "shapes differ");
}

Cost LayerNormBackward::cost() const {
  return {input.bytes() + weight.bytes() + output_gradient.bytes() + input_gradient.bytes(),
          input_gradient.bytes(),
          6.0 * static_cast<double>(input.rows) * static_cast<double>(input.columns)};
}

void LayerNormBackward::compute(CpuContext& context) const {
  const auto kernel = gradient_kernels(context.isa).layer_norm;
  context.pool.run(input.rows, [&](std::size_t i) {
    kernel(host_floats(input) + i * input.stride, host_floats(weight), epsilon,
           host_floats(output_gradient) + i * output_gradient.stride, input.columns,
           host_floats(input_gradient) + i * input_gradient.stride);
  });
}

}  // namespace malina::math
