#include "math/ops/log_sum_exp.h"

#include "math/ops/row_kernels.h"

namespace malina::math {

void LogSumExp::check() const { require(input.rows == sums.size(), kName, "shapes differ"); }

Cost LogSumExp::cost() const { return {input.bytes(), sums.size() * sizeof(double), 0}; }

void LogSumExp::compute(CpuContext& context) const {
  const auto kernel = row_kernels(context.isa).log_sum_exp;
  context.pool.run(input.rows, [&](std::size_t i) {
    sums[i] = kernel(host_floats(input) + i * input.stride, input.columns);
  });
}

}  // namespace malina::math
