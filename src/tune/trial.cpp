#include "tune/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "tune/recipe_json.h"
#include "tune/snapshot.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

Json identity(const AdapterTrainingOptions& options) {
  return {{"origin", options.origin},
          {"recipe", to_json(options.recipe)},
          {"patience", options.patience}};
}

// Probabilities are kept as float32, and rounded so in a result that was just made as well: what is
// decided by them must not depend on a stop.
std::vector<float> rounded(eval::ProbabilityTable& table) {
  std::vector<float> values(table.values.begin(), table.values.end());
  std::copy(values.begin(), values.end(), table.values.begin());
  return values;
}

std::optional<TrialResult> stored_result(const fs::path& file, std::size_t classes,
                                         std::size_t rows, const AdapterTrainingOptions& options,
                                         const TrainingEvents& events) {
  auto snapshot = read_snapshot(file);
  if (!snapshot) return std::nullopt;
  const Json& state = snapshot->state;
  if (state.value("identity", Json()) != identity(options))
    throw Error(Fault::invalid_argument, fmt::format("{} is of a job with another base, other data "
                                                     "or another recipe: remove it to begin anew",
                                                     file.string()));
  if (snapshot->arrays.size() != 1 || snapshot->arrays[0].size() != rows * classes ||
      !state.contains("best"))
    throw Error(Fault::corrupt_file, fmt::format("{}: it holds other arrays", file.string()));
  const Json& best = state["best"];
  if (events.begun)  // files of earlier versions do not say how much was done
    events.begun(state.value("steps", std::uint64_t{0}),
                 state.value("positions", std::uint64_t{0}));
  return TrialResult{
      .best = {best.at(0), best.at(1), best.at(2), best.at(3), best.at(4), true},
      .probabilities = {classes, {snapshot->arrays[0].begin(), snapshot->arrays[0].end()}}};
}

}  // namespace

fs::path trial_result_file(const fs::path& snapshot) {
  return snapshot.empty() ? fs::path() : fs::path(snapshot.string() + ".result");
}

fs::path trial_snapshot(const fs::path& job, std::string_view name) {
  return job.empty() ? fs::path() : fs::path(fmt::format("{}.{}", job.string(), name));
}

std::optional<TrialResult> run_trial(std::shared_ptr<const model::Model> model,
                                     math::CpuDevice& device, std::size_t classes,
                                     std::span<const TrainingExample> training,
                                     std::span<const TrainingExample> validation,
                                     const AdapterTrainingOptions& options,
                                     const TrainingEvents& events) {
  const fs::path file = trial_result_file(options.snapshot);
  if (!file.empty())
    if (auto stored = stored_result(file, classes, validation.size(), options, events))
      return stored;
  ClassifierTraining run(std::move(model), device, classes, training, validation, options);
  if (!run.run(events)) return std::nullopt;
  auto probabilities =
      run.probabilities(validation, [&](std::size_t) { return !(events.pause && events.pause()); });
  if (!probabilities) return std::nullopt;
  TrialResult result{.best = best_of(run.history()), .probabilities = std::move(*probabilities)};
  const std::vector<float> values = rounded(result.probabilities);
  if (file.empty()) return result;
  const EpochReport& best = result.best;
  const std::vector<std::span<const float>> arrays{values};
  write_snapshot(file,
                 {{"identity", identity(options)},
                  {"best", {best.epoch, best.train_loss, best.loss, best.accuracy, best.macro_f1}},
                  {"steps", run.losses().size()},
                  {"positions", run.positions()}},
                 arrays);
  std::error_code ignored;
  fs::remove(options.snapshot, ignored);
  return result;
}

}  // namespace malina::tune
