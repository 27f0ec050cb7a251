// AdamW (Loshchilov and Hutter, 2019) over one flat array of parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace malina::tune {

struct AdamWOptions {
  float beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F;
  float weight_decay = 0;  // decoupled: times the learning rate
};

// First and second moments of each parameter. One owner, one thread. The arithmetic is PyTorch's:
// torch.optim.AdamW without amsgrad.
class AdamW {
 public:
  AdamW(std::size_t parameters, const AdamWOptions& options);

  // One update of parameters [first, first + gradients.size()) from their gradients times `factor`.
  // `step` counts from 1 and is the same for all parts of one update.
  void update(std::size_t first, std::span<float> parameters, std::span<const float> gradients,
              float factor, float learning_rate, std::uint64_t step, base::ThreadPool& pool);

  std::span<float> first_moments() { return first_; }
  std::span<float> second_moments() { return second_; }

 private:
  AdamWOptions options_;
  std::vector<float> first_, second_;
};

// The square root of the sum of squares, in double, in an order that no number of threads changes.
double norm(std::span<const float> values, base::ThreadPool& pool);

// Linear from 0 to 1 over `warm_up` steps, then half a cosine down to 0 at `steps`; step counts
// from 0 (Loshchilov and Hutter, 2017; as transformers.get_cosine_schedule_with_warmup).
float cosine_schedule(std::uint64_t step, std::uint64_t warm_up, std::uint64_t steps);

}  // namespace malina::tune
