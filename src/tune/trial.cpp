#include "tune/trial.h"

#include <fmt/format.h>

#include <span>
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

std::optional<TrialResult> stored_result(const fs::path& file, std::size_t values,
                                         const AdapterTrainingOptions& options,
                                         const TrainingEvents& events) {
  auto snapshot = read_snapshot(file);
  if (!snapshot) return std::nullopt;
  const Json& state = snapshot->state;
  // Of another base, other data or another recipe: nobody needs it any more.
  if (state.value("identity", Json()) != identity(options)) return std::nullopt;
  if (snapshot->arrays.size() != 1 || snapshot->arrays[0].size() != values ||
      !state.contains("best"))
    throw Error(Fault::corrupt_file, fmt::format("{}: it holds other arrays", file.string()));
  const Json& best = state["best"];
  if (events.begun)  // files of earlier versions do not say how much was done
    events.begun(state.value("steps", std::uint64_t{0}),
                 state.value("positions", std::uint64_t{0}));
  return TrialResult{.best = {best.at(0), best.at(1), best.at(2), best.at(3), best.at(4), true},
                     .answers = std::move(snapshot->arrays[0])};
}

// Anew where what was left is of another job.
std::unique_ptr<AdapterTraining> begin(const TrialWork& work,
                                       const AdapterTrainingOptions& options) {
  try {
    return work.begin(options);
  } catch (const Error& error) {
    std::error_code ignored;
    if (error.fault() != Fault::invalid_argument || !fs::remove(options.snapshot, ignored)) throw;
  }
  return work.begin(options);
}

// `file`: of the result; empty: none.
std::optional<TrialResult> run_to_end(const TrialWork& work, const AdapterTrainingOptions& options,
                                      const fs::path& file, const TrainingEvents& events) {
  if (!file.empty())
    if (auto stored = stored_result(file, work.values, options, events)) return stored;
  const auto training = begin(work, options);
  if (!training->run(events)) return std::nullopt;
  auto answers =
      work.answers(*training, [&](std::size_t) { return !(events.pause && events.pause()); });
  if (!answers) return std::nullopt;
  TrialResult result{.best = best_of(training->history()), .answers = std::move(*answers)};
  if (file.empty()) return result;
  const EpochReport& best = result.best;
  const std::vector<std::span<const float>> arrays{result.answers};
  write_snapshot(file,
                 {{"identity", identity(options)},
                  {"best", {best.epoch, best.train_loss, best.loss, best.accuracy, best.macro_f1}},
                  {"steps", training->losses().size()},
                  {"positions", training->positions()}},
                 arrays);
  std::error_code ignored;
  fs::remove(options.snapshot, ignored);
  return result;
}

}  // namespace

std::vector<fs::path> trial_files(const fs::path& job) {
  std::vector<fs::path> files;
  if (job.empty()) return files;
  std::error_code none;  // no folder: no files
  for (const auto& entry :
       fs::directory_iterator(job.has_parent_path() ? job.parent_path() : fs::path("."), none)) {
    const std::string name = entry.path().filename().string();
    for (const char* kind : {".search-", ".curve-"})
      if (name.starts_with(job.filename().string() + kind)) files.push_back(entry.path());
  }
  return files;
}

fs::path trial_snapshot(const fs::path& job, std::string_view name) {
  return job.empty() ? fs::path() : fs::path(fmt::format("{}.{}", job.string(), name));
}

std::optional<TrialResult> run_trial(const std::string& name, const TrialWork& work,
                                     AdapterTrainingOptions options, const TrainingEvents& events,
                                     std::vector<fs::path>& leftovers) {
  options.origin += "trial " + name + "\n";
  options.snapshot = trial_snapshot(options.snapshot, name);
  const fs::path result = trial_snapshot(options.snapshot, "result");
  if (!result.empty()) leftovers.insert(leftovers.end(), {options.snapshot, result});
  TrainingEvents within = events;
  within.epoch = {};
  return run_to_end(work, options, result, within);
}

}  // namespace malina::tune
