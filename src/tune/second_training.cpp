#include "tune/second_training.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "tune/trial.h"

namespace malina::tune {

using base::Error;
using base::Fault;

void check_validation_rows(std::size_t rows) {
  if (rows < kFewestValidation)
    throw Error(Fault::invalid_argument,
                fmt::format("{} validation rows are too few to choose and calibrate by: at least "
                            "{} are needed",
                            rows, kFewestValidation));
}

std::filesystem::path second_snapshot(const std::filesystem::path& first) {
  return trial_snapshot(first, "all-rows");
}

AdapterTrainingOptions second_training(const AdapterTrainingOptions& first,
                                       const std::vector<EpochReport>& history) {
  AdapterTrainingOptions second = first;
  second.only_epochs = best_of(history).epoch;
  second.snapshot = second_snapshot(first.snapshot);
  second.origin += fmt::format("all rows, {} epochs\n", second.only_epochs);
  return second;
}

void begin_second_training(const AdapterTrainingOptions& options,
                           const std::function<void()>& make) {
  try {
    make();
  } catch (const Error& error) {
    if (error.fault() != Fault::invalid_argument && error.fault() != Fault::corrupt_file) throw;
    // Of a first training that went on to another epoch, say.
    std::error_code ignored;
    if (options.snapshot.empty() || !std::filesystem::remove(options.snapshot, ignored)) throw;
    make();
  }
}

std::string fault_of_second_training(double first, double second) {
  constexpr double kFurther = 0.5;
  if (second <= 2 * first + kFurther) return "";
  return fmt::format("its loss ended at {:.3g} where the first training had {:.3g}", second, first);
}

SecondRun run_second_training(AdapterTraining& second, const std::vector<EpochReport>& history,
                              TrainingEvents events) {
  events.epoch = {};
  try {
    if (!second.run(events)) return {.paused = true, .fault = {}};
  } catch (const DivergedError& error) {
    return {.paused = false, .fault = error.what()};
  }
  const double after = second.history().back().train_loss;
  return {.paused = false, .fault = fault_of_second_training(best_of(history).train_loss, after)};
}

}  // namespace malina::tune
