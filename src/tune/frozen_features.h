// What a frozen model makes of texts: features of a linear probe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/model.h"
#include "tune/trainer.h"

namespace malina::tune {

// The mean over a text's tokens of the hidden states after the last norm: [examples, width].
// `done` (may be empty) is called with the number of examples that are finished; an Error that it
// throws ends the work. Throws base::Error(invalid_argument) where an example is longer than
// `rows`, the tokens computed at once.
std::vector<float> frozen_features(std::shared_ptr<const model::Model> model,
                                   math::CpuDevice& device,
                                   std::span<const TrainingExample> examples, std::size_t rows,
                                   const std::function<void(std::size_t done)>& done = {});

}  // namespace malina::tune
