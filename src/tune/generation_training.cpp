#include "tune/generation_training.h"

namespace malina::tune {

GenerationTraining::GenerationTraining(std::shared_ptr<const model::Model> model,
                                       math::CpuDevice& device,
                                       std::span<const TrainingExample> training,
                                       std::span<const TrainingExample> validation,
                                       const AdapterTrainingOptions& options)
    : AdapterTraining(std::move(model), device, 0, training, options), validation_(validation) {}

std::optional<EpochReport> GenerationTraining::measure(const ScoreProgress& progress) {
  const auto evaluation = trainer().evaluate(validation_, true, progress);
  if (!evaluation) return std::nullopt;
  EpochReport report;
  report.loss = evaluation->loss;
  report.accuracy = evaluation->accuracy;
  return report;
}

const model::TrainableWeights& GenerationTraining::best_weights() {
  use_best();
  return trainer().weights();
}

model::AdapterTensors GenerationTraining::best() {
  use_best();
  model::AdapterTensors tensors = model::tensors_of(trainer().adapter());
  tensors.task = model::AdapterTask::language_model;
  return tensors;
}

}  // namespace malina::tune
