#include "math/ops/gated_unit.h"

#include "math/ops/gradient_kernels.h"
#include "math/ops/row_kernels.h"

namespace malina::math {

void GatedUnit::check() const {
  require(output.rows == gate.rows && output.columns == gate.columns, kName, "shapes differ");
  require(!up || (up.rows == gate.rows && up.columns == gate.columns), kName, "shapes differ");
}

Cost GatedUnit::cost() const {
  return {gate.bytes() + (up ? up.bytes() : 0), output.bytes(),
          2.0 * static_cast<double>(gate.rows) * static_cast<double>(gate.columns)};
}

void GatedUnit::compute(CpuContext& context) const {
  const RowKernels& kernels = row_kernels(context.isa);
  const auto kernel = activation == Gate::silu ? kernels.silu_gate : kernels.gelu_gate;
  const auto one = [&](std::size_t i) {
    kernel(host_floats(gate) + i * gate.stride, up ? host_floats(up) + i * up.stride : nullptr,
           gate.columns, host_floats(output) + i * output.stride);
  };
  if (gate.rows * gate.columns < 8192)
    for (std::size_t i = 0; i < gate.rows; ++i) one(i);
  else
    context.pool.run(gate.rows, one);
}

void GatedUnitBackward::check() const {
  const auto fits = [&](const Slice& slice) {
    return slice.rows == gate.rows && slice.columns == gate.columns;
  };
  require(fits(output_gradient) && fits(gate_gradient) &&
              static_cast<bool>(up) == static_cast<bool>(up_gradient) &&
              (!up || (fits(up) && fits(up_gradient))),
          kName, "shapes differ");
}

Cost GatedUnitBackward::cost() const {
  return {gate.bytes() + (up ? up.bytes() : 0) + output_gradient.bytes(),
          gate_gradient.bytes() + (up ? up_gradient.bytes() : 0),
          20.0 * static_cast<double>(gate.rows) * static_cast<double>(gate.columns)};
}

void GatedUnitBackward::compute(CpuContext& context) const {
  const GradientKernels& kernels = gradient_kernels(context.isa);
  const auto kernel = activation == Gate::silu ? kernels.silu_gate : kernels.gelu_gate;
  context.pool.run(gate.rows, [&](std::size_t i) {
    kernel(host_floats(gate) + i * gate.stride, up ? host_floats(up) + i * up.stride : nullptr,
           host_floats(output_gradient) + i * output_gradient.stride, gate.columns,
           host_floats(gate_gradient) + i * gate_gradient.stride,
           up ? host_floats(up_gradient) + i * up_gradient.stride : nullptr);
  });
}

}  // namespace malina::math
