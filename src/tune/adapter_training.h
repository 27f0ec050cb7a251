// Training of an adapter to its end: epochs, what the validation data say after each, stopping
// when they say nothing better, snapshots.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/adapter_tensors.h"
#include "tune/trainer.h"

namespace malina::tune {

struct EpochReport {
  std::size_t epoch = 0;  // from 1
  double train_loss = 0;  // mean over its steps
  double loss = 0;        // of the validation data, nats
  double accuracy = 0;    // of texts, or of tokens where the model writes
  double macro_f1 = 0;    // of classes; 0 where the model writes
  bool best = false;      // of all so far: the greatest macro F1, of equal ones the least loss
  std::uint64_t step = 0, steps = 0;  // its last step, and that of the whole training
};

// The best of them; of an empty history one that says nothing.
EpochReport best_of(const std::vector<EpochReport>& history);

// All may be empty. Called on the training thread.
struct TrainingEvents {
  // A training begins. Of it so many steps with so many positions were done before, by a run that
  // was stopped; all of them where its result is known. Summed up with what step() tells, that is
  // what the whole job has done, whatever stopped it.
  std::function<void(std::uint64_t steps, std::uint64_t positions)> begun = {};
  std::function<void(const StepReport&, std::uint64_t steps)> step;
  std::function<void(const EpochReport&)> epoch;
  // Asked after each step, and while validation rows are measured; true: stop here, with a
  // snapshot.
  std::function<bool()> pause;
  // While validation rows are measured at the end of an epoch: of so many.
  std::function<void(std::size_t done, std::size_t total)> measured = {};
};

struct AdapterTrainingOptions {
  Recipe recipe;
  std::size_t patience = 3;        // epochs without a better one
  std::filesystem::path snapshot;  // empty: none is kept
  double snapshot_seconds = 60;    // between two; one is written after each epoch too
  // What the snapshot must have been made from: digests of base and data. Any text.
  std::string origin;
  // Not 0: it ends after so many epochs, which are not measured; the last is the best.
  std::size_t only_epochs = 0;
};

// One thread. Data must outlive it. What it learns from is the derived class's affair.
class AdapterTraining {
 public:
  virtual ~AdapterTraining();

  // To the end: true. False where it was paused. Throws what writing a snapshot throws; then, too,
  // it can be run again.
  bool run(const TrainingEvents& events);
  // The parameters of the best epoch, after run() returned true: taken from one that is not needed
  // any more, and given to another of the same shape, which then has them.
  struct Parameters {
    std::vector<float> adapter, head;
  };
  Parameters take_best();
  void put_best(Parameters best);
  // Gives back most of its memory until it is needed again (Trainer::rest).
  void rest() { trainer_.rest(); }

  const std::vector<EpochReport>& history() const { return history_; }
  // Of each step so far, those before a stop too.
  std::span<const float> losses() const { return losses_; }
  std::uint64_t steps() const { return trainer_.steps(); }
  // Tokens that these steps computed.
  std::uint64_t positions() const { return positions_; }

 protected:
  // Goes on from the snapshot where there is one. `classes`: as the trainer has it. Throws
  // base::Error(invalid_argument) where the snapshot was made from something else (another recipe,
  // base or data), and as Trainer does.
  AdapterTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                  std::size_t classes, std::span<const TrainingExample> training,
                  const AdapterTrainingOptions& options);

  // Loss, accuracy and macro F1 on the validation data with the parameters as they are.
  // Nothing where `progress` stopped it.
  virtual std::optional<EpochReport> measure(const ScoreProgress& progress) = 0;
  virtual std::size_t validation_rows() const = 0;
  // The parameters of the best epoch, from now on. After run() returned true.
  void use_best();
  std::span<const float> best_head() const { return best_head_; }
  Trainer& trainer() { return trainer_; }

 private:
  nlohmann::ordered_json state() const;
  void save();
  void restore();
  // An epoch's steps are done, and what they brought has not been measured.
  bool unmeasured() const;
  bool end_epoch(const TrainingEvents& events);  // false: paused
  bool exhausted() const;
  std::uint64_t last_step() const;
  void keep_best();

  AdapterTrainingOptions options_;
  Trainer trainer_;
  std::vector<EpochReport> history_;
  std::vector<float> best_adapter_, best_head_, losses_;
  double epoch_loss_ = 0;  // sum over the steps of the epoch so far
  std::uint64_t positions_ = 0;
};

}  // namespace malina::tune
