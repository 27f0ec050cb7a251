#include "math/ops/layer_norm.h"

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
    kernel(host_floats(input) + i * input.stride, host_floats(weight), bias ? host_floats(bias) : nullptr, epsilon, input.columns,
           host_floats(output) + i * output.stride);
  };
  if (input.rows * input.columns < 16384)
    for (std::size_t i = 0; i < input.rows; ++i) one(i);
  else
    context.pool.run(input.rows, one);
}

}  // namespace malina::math
