#include "math/ops/gated_unit.h"

#include "math/ops/row_kernels.h"

namespace malina::math {

void GatedUnit::check() const {
  require(gate.rows == up.rows && gate.columns == up.columns && output.rows == gate.rows &&
              output.columns == gate.columns,
          kName, "shapes differ");
}

Cost GatedUnit::cost() const {
  return {gate.bytes() + up.bytes(), output.bytes(),
          2.0 * static_cast<double>(gate.rows) * static_cast<double>(gate.columns)};
}

void GatedUnit::compute(CpuContext& context) const {
  const auto kernel = row_kernels(context.isa).silu_gate;
  const auto one = [&](std::size_t i) {
    kernel(host_floats(gate) + i * gate.stride, host_floats(up) + i * up.stride, gate.columns,
           host_floats(output) + i * output.stride);
  };
  if (gate.rows * gate.columns < 8192)
    for (std::size_t i = 0; i < gate.rows; ++i) one(i);
  else
    context.pool.run(gate.rows, one);
}

}  // namespace malina::math
