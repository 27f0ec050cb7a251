// A training beside the one that is kept: of a search, of a learning curve. What it says of the
// validation rows stays on disk until the job ends, so that a job which was stopped does not begin
// again.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/probability_table.h"
#include "tune/classifier_training.h"

namespace malina::tune {

struct TrialResult {
  EpochReport best;
  eval::ProbabilityTable probabilities;  // of the validation rows, with the best epoch's parameters
};

// To its end; nothing where it was paused. `options.snapshot` names the file of its state while it
// runs; trial_result_file() of that holds the result afterwards, and is read where it is there.
// Throws as ClassifierTraining does, and for a result of something else.
std::optional<TrialResult> run_trial(std::shared_ptr<const model::Model> model,
                                     math::CpuDevice& device, std::size_t classes,
                                     std::span<const TrainingExample> training,
                                     std::span<const TrainingExample> validation,
                                     const AdapterTrainingOptions& options,
                                     const TrainingEvents& events);

std::filesystem::path trial_result_file(const std::filesystem::path& snapshot);
// "x.snapshot" and "rate-0.001": "x.snapshot.rate-0.001". Empty of an empty path.
std::filesystem::path trial_snapshot(const std::filesystem::path& job, std::string_view name);

}  // namespace malina::tune
