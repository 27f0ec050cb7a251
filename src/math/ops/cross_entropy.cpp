#include "math/ops/cross_entropy.h"

#include "math/ops/gradient_kernels.h"
#include "math/ops/row_kernels.h"

namespace malina::math {

void CrossEntropy::check() const {
  require(targets.size() == logits.rows && weights.size() == logits.rows &&
              losses.size() == logits.rows,
          kName, "shapes differ");
  for (const std::int32_t target : targets)
    require(target >= 0 && static_cast<std::size_t>(target) < logits.columns, kName,
            "a target out of range");
}

Cost CrossEntropy::cost() const {
  return {2 * logits.bytes(), logits.bytes(),
          20.0 * static_cast<double>(logits.rows) * static_cast<double>(logits.columns)};
}

void CrossEntropy::compute(CpuContext& context) const {
  const auto log_sum_exp = row_kernels(context.isa).log_sum_exp;
  const auto gradient = gradient_kernels(context.isa).cross_entropy_gradient;
  context.pool.run(logits.rows, [&](std::size_t i) {
    float* row = host_floats(logits) + i * logits.stride;
    const auto target = static_cast<std::size_t>(targets[i]);
    const double normaliser = log_sum_exp(row, logits.columns);
    losses[i] = normaliser - double{row[target]};
    gradient(row, logits.columns, target, static_cast<float>(normaliser), weights[i]);
  });
}

}  // namespace malina::math
