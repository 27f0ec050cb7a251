// A training beside the one that is kept: of a search, of a learning curve. What it says of the
// validation rows stays on disk until the job ends, so that a job which was stopped does not begin
// again.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tune/adapter_training.h"

namespace malina::tune {

struct TrialResult {
  EpochReport best;
  std::vector<float> answers;  // with the best epoch's parameters
};

// What is trained, and what is kept of it.
struct TrialWork {
  std::function<std::unique_ptr<AdapterTraining>(const AdapterTrainingOptions&)> begin;
  // What the one that begin() made, at its end, says of the validation rows: always so many
  // `values`. Nothing where `progress` stopped it.
  std::function<std::optional<std::vector<float>>(AdapterTraining&, const ScoreProgress& progress)>
      answers;
  std::size_t values = 0;
};

// To its end; nothing where it was paused. `options`: of the job's own training, but for the
// trial's recipe; the trial's files stand beside its snapshot, under the trial's name, and are
// added to `leftovers`. Once it has ended its result is read and not made again. Its epochs are not
// told; what another job's trial of this name has left is made anew. Throws as AdapterTraining
// does.
std::optional<TrialResult> run_trial(const std::string& name, const TrialWork& work,
                                     AdapterTrainingOptions options, const TrainingEvents& events,
                                     std::vector<std::filesystem::path>& leftovers);

// What trials of searches and curves have left beside a job's snapshot, of whatever job. Empty of
// an empty path.
std::vector<std::filesystem::path> trial_files(const std::filesystem::path& job);
// "x.snapshot" and "rate-0.001": "x.snapshot.rate-0.001". Empty of an empty path.
std::filesystem::path trial_snapshot(const std::filesystem::path& job, std::string_view name);

}  // namespace malina::tune
