#include "tune/recipe.h"

#include <algorithm>

namespace malina::tune {

TrainingSchedule automatic_schedule(std::size_t rows) {
  constexpr std::size_t kFewRows = 1000;  // of these, smaller steps see more of them
  constexpr std::size_t kSteps = 600, kLeastEpochs = 4, kMostEpochs = 30;
  const std::size_t batch = rows < kFewRows ? 16 : 32;
  const std::size_t steps = std::max<std::size_t>(1, (rows + batch - 1) / batch);
  return {.epochs = std::clamp((kSteps + steps / 2) / steps, kLeastEpochs, kMostEpochs),
          .batch = batch};
}

bool reads_twice(std::size_t rows) { return rows < 5000; }

std::vector<float> search_rates(float learning_rate) {
  std::vector<float> rates;
  for (const float factor : {0.5F, 1.0F, 2.0F, 5.0F}) rates.push_back(learning_rate * factor);
  return rates;
}

}  // namespace malina::tune
