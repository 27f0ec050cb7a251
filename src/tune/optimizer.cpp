#include "tune/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace malina::tune {
namespace {

constexpr std::size_t kChunk = 16384;  // parameters a task; fixed, so that sums have one order

std::size_t chunks(std::size_t count) { return (count + kChunk - 1) / kChunk; }

}  // namespace

AdamW::AdamW(std::size_t parameters, const AdamWOptions& options)
    : options_(options), first_(parameters), second_(parameters) {}

void AdamW::update(std::size_t first, std::span<float> parameters, std::span<const float> gradients,
                   float factor, float learning_rate, std::uint64_t step, base::ThreadPool& pool) {
  const auto count = static_cast<double>(step);
  const auto correction1 = static_cast<float>(1 - std::pow(double{options_.beta1}, count));
  const auto correction2 =
      static_cast<float>(std::sqrt(1 - std::pow(double{options_.beta2}, count)));
  const float size = learning_rate / correction1;
  const float keep = 1 - learning_rate * options_.weight_decay;
  const float beta1 = options_.beta1, beta2 = options_.beta2, epsilon = options_.epsilon;
  pool.run(chunks(gradients.size()), [&](std::size_t chunk) {
    const std::size_t end = std::min(gradients.size(), (chunk + 1) * kChunk);
    for (std::size_t i = chunk * kChunk; i < end; ++i) {
      const float gradient = gradients[i] * factor;
      float& m = first_[first + i];
      float& v = second_[first + i];
      m += (gradient - m) * (1 - beta1);
      v = v * beta2 + gradient * gradient * (1 - beta2);
      parameters[i] = parameters[i] * keep - size * m / (std::sqrt(v) / correction2 + epsilon);
    }
  });
}

double norm(std::span<const float> values, base::ThreadPool& pool) {
  std::vector<double> sums(chunks(values.size()));
  pool.run(sums.size(), [&](std::size_t chunk) {
    const std::size_t end = std::min(values.size(), (chunk + 1) * kChunk);
    for (std::size_t i = chunk * kChunk; i < end; ++i)
      sums[chunk] += double{values[i]} * double{values[i]};
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

float cosine_schedule(std::uint64_t step, std::uint64_t warm_up, std::uint64_t steps) {
  if (step < warm_up) return static_cast<float>(step) / static_cast<float>(warm_up);
  if (steps <= warm_up) return 1;
  const double done = static_cast<double>(step - warm_up) / static_cast<double>(steps - warm_up);
  return static_cast<float>(
      std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * std::min(done, 1.0)))));
}

}  // namespace malina::tune
