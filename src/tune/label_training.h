// Training of an adapter that writes labels: the model's own vocabulary is the head.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tune/adapter_training.h"
#include "tune/label_task.h"

namespace malina::tune {

// After each epoch the validation rows are measured on the way to their right label alone, which
// costs a fraction of scoring all labels: a row counts as right where at each token the right
// label's is likelier than those of the other labels that begin alike. The loss is that of the
// whole label, in nats a row.
class LabelTraining final : public AdapterTraining {
 public:
  // Examples are LabelTask's; `classes`: of each validation example its label.
  LabelTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                std::shared_ptr<const LabelTask> task, std::span<const TrainingExample> training,
                std::span<const TrainingExample> validation, std::span<const std::uint32_t> classes,
                const AdapterTrainingOptions& options);
  ~LabelTraining() override;

  // The parameters of the best epoch. After run() returned true.
  model::AdapterTensors best();

 private:
  class Trie;

  std::optional<EpochReport> measure(const ScoreProgress& progress) override;
  std::size_t validation_rows() const override { return validation_.size(); }

  std::span<const TrainingExample> validation_;
  std::span<const std::uint32_t> classes_;
  std::unique_ptr<const Trie> trie_;
};

}  // namespace malina::tune
