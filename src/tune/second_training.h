// An adapter's second training, on the rows that were held back from the first one as well: the
// same recipe, to the epoch that was the best. Nothing measures it there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include "tune/adapter_training.h"

namespace malina::tune {

// Below it a fifth is held back, and worth being learned from in the end.
inline constexpr std::size_t kFewRows = 2000;
inline double held_back_share(std::size_t rows) { return rows < kFewRows ? 0.2 : 0.1; }
// Validation rows by which something is chosen and calibrated.
inline constexpr std::size_t kFewestValidation = 10;
void check_validation_rows(std::size_t rows);  // throws invalid_argument where they are fewer

// Where its state stands, beside that of the first.
std::filesystem::path second_snapshot(const std::filesystem::path& first);

// `first`: of the first training, whose history has the best epoch.
AdapterTrainingOptions second_training(const AdapterTrainingOptions& first,
                                       const std::vector<EpochReport>& history);

// Calls `make`, which constructs it with these options. Where a snapshot is there that this
// training cannot have made, it is removed, and `make` is called again: it follows from the first
// training alone.
void begin_second_training(const AdapterTrainingOptions& options,
                           const std::function<void()>& make);

// "" where it came about as far as the first; otherwise why the first is to be kept. Mean losses of
// the steps of the first's best epoch and of the second's last, in nats.
std::string fault_of_second_training(double first, double second);

// To its end, as AdapterTraining::run, but that epochs are not told of: nothing measures them. A
// training that diverges has a fault as well.
struct SecondRun {
  bool paused = false;
  std::string fault;  // of the end: why the first is to be kept
};
SecondRun run_second_training(AdapterTraining& second, const std::vector<EpochReport>& history,
                              TrainingEvents events);

}  // namespace malina::tune
