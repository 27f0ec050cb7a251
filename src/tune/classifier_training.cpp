#include "tune/classifier_training.h"

#include <algorithm>
#include <cmath>

#include "eval/metrics.h"

namespace malina::tune {

ClassifierTraining::ClassifierTraining(std::shared_ptr<const model::Model> model,
                                       math::CpuDevice& device, std::size_t classes,
                                       std::span<const TrainingExample> training,
                                       std::span<const TrainingExample> validation,
                                       const AdapterTrainingOptions& options)
    : AdapterTraining(std::move(model), device, classes, training, options),
      validation_(validation),
      classes_(classes) {}

std::optional<EpochReport> ClassifierTraining::measure(const ScoreProgress& progress) {
  const auto scored = score(validation_, false, progress);
  if (!scored) return std::nullopt;
  const eval::ProbabilityTable& table = *scored;
  std::vector<std::uint32_t> expected, predicted;
  EpochReport report;
  for (std::size_t i = 0; i < validation_.size(); ++i) {
    expected.push_back(static_cast<std::uint32_t>(validation_[i].targets.back()));
    predicted.push_back(static_cast<std::uint32_t>(eval::likeliest(table.row(i))));
    report.loss -= std::log(std::max(table.row(i)[expected.back()], 1e-300)) /
                   static_cast<double>(validation_.size());
  }
  report.accuracy = eval::accuracy(expected, predicted);
  report.macro_f1 = eval::macro_f1(expected, predicted);
  return report;
}

model::AdapterTensors ClassifierTraining::best() {
  use_best();
  model::AdapterTensors tensors = model::tensors_of(trainer().adapter());
  tensors.task = model::AdapterTask::sequence_classification;
  tensors.head.labels = classes_;
  tensors.head.width = best_head().size() / classes_;
  tensors.head.weight.assign(best_head().begin(), best_head().end());
  return tensors;
}

std::optional<eval::ProbabilityTable> ClassifierTraining::probabilities(
    std::span<const TrainingExample> examples, const ScoreProgress& progress) {
  use_best();
  return score(examples, true, progress);
}

std::optional<eval::ProbabilityTable> ClassifierTraining::score(
    std::span<const TrainingExample> examples, bool exact, const ScoreProgress& progress) {
  eval::ProbabilityTable table{.classes = classes_, .values = {}};
  table.values.resize(examples.size() * classes_);
  const bool all = trainer().score(
      examples,
      [&](std::size_t example, const math::Slice& outputs) {
        // A classifier's one trained token is the last.
        const float* logits = math::host_floats(outputs);
        const std::span<double> row = table.row(example);
        std::copy(logits, logits + classes_, row.begin());
        eval::softmax(row);
      },
      exact, progress);
  if (!all) return std::nullopt;
  return table;
}

}  // namespace malina::tune
