// Training of an adapter that writes, or of a whole model: the model's own vocabulary is the head.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/adapter_tensors.h"
#include "tune/adapter_training.h"

namespace malina::tune {

class GenerationTraining final : public AdapterTraining {
 public:
  GenerationTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                     std::span<const TrainingExample> training,
                     std::span<const TrainingExample> validation,
                     const AdapterTrainingOptions& options);

  // Of the validation data, without any adapter. Where the whole model is trained there is no base
  // any more.
  Trainer::Evaluation of_base() { return trainer().evaluate(validation_, false).value(); }
  // With the parameters as they are: after best(), those.
  Trainer::Evaluation evaluate(std::span<const TrainingExample> examples) {
    return trainer().evaluate(examples).value();
  }
  // Each of the validation examples with the best epoch's parameters. Nothing where `progress`
  // stopped it. After run() returned true.
  std::optional<std::vector<Trainer::Evaluation>> evaluate_validation(
      const ScoreProgress& progress) {
    use_best();
    return trainer().evaluate_each(validation_, progress);
  }
  // The parameters of the best epoch. After run() returned true.
  model::AdapterTensors best();
  // The same where the recipe is full.
  const model::TrainableWeights& best_weights();

 private:
  std::optional<EpochReport> measure(const ScoreProgress& progress) override;
  std::size_t validation_rows() const override { return validation_.size(); }

  std::span<const TrainingExample> validation_;
};

}  // namespace malina::tune
