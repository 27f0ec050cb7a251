// Training of an adapter with a head that tells classes apart.
#pragma once

#include <memory>
#include <span>

#include "eval/probability_table.h"
#include "model/adapter_tensors.h"
#include "tune/adapter_training.h"

namespace malina::tune {

class ClassifierTraining final : public AdapterTraining {
 public:
  ClassifierTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                     std::size_t classes, std::span<const TrainingExample> training,
                     std::span<const TrainingExample> validation,
                     const AdapterTrainingOptions& options);

  // The parameters of the best epoch. After run() returned true.
  model::AdapterTensors best();
  // Probabilities of the classes with the parameters of the best epoch. Nothing where `progress`
  // stopped it.
  std::optional<eval::ProbabilityTable> probabilities(std::span<const TrainingExample> examples,
                                                      const ScoreProgress& progress = {});

 private:
  std::optional<EpochReport> measure(const ScoreProgress& progress) override;
  std::size_t validation_rows() const override { return validation_.size(); }
  std::optional<eval::ProbabilityTable> score(std::span<const TrainingExample> examples, bool exact,
                                              const ScoreProgress& progress);

  std::span<const TrainingExample> validation_;
  std::size_t classes_;
};

}  // namespace malina::tune
