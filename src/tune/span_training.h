// Training of an adapter with a head that tags tokens.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "eval/probability_table.h"
#include "model/adapter_tensors.h"
#include "tune/adapter_training.h"
#include "tune/span_task.h"

namespace malina::tune {

class SpanTraining final : public AdapterTraining {
 public:
  SpanTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
               std::size_t types, std::span<const TrainingExample> training,
               std::span<const TrainingExample> validation, const AdapterTrainingOptions& options);

  // The parameters of the best epoch. After run() returned true.
  model::AdapterTensors best();
  // Scores of the tagged tokens of each example, with the parameters of the best epoch.
  std::vector<eval::ProbabilityTable> scores(std::span<const TrainingExample> examples) {
    return *scores(examples, {});
  }
  // Nothing where `progress` stopped it.
  std::optional<std::vector<eval::ProbabilityTable>> scores(
      std::span<const TrainingExample> examples, const ScoreProgress& progress);

 private:
  // Accuracy is of tokens; in place of a macro F1 the F1 of spans.
  std::optional<EpochReport> measure(const ScoreProgress& progress) override;
  std::size_t validation_rows() const override { return validation_.size(); }
  std::optional<std::vector<eval::ProbabilityTable>> score(
      std::span<const TrainingExample> examples, bool exact, const ScoreProgress& progress);

  std::span<const TrainingExample> validation_;
  std::size_t tags_;
};

}  // namespace malina::tune
