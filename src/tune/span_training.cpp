#include "tune/span_training.h"

#include <algorithm>
#include <cmath>

namespace malina::tune {

SpanTraining::SpanTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                           std::size_t types, std::span<const TrainingExample> training,
                           std::span<const TrainingExample> validation,
                           const AdapterTrainingOptions& options)
    : AdapterTraining(std::move(model), device, eval::tag_count(types), training, options),
      validation_(validation),
      tags_(eval::tag_count(types)) {}

std::optional<EpochReport> SpanTraining::measure(const ScoreProgress& progress) {
  const auto scored = score(validation_, false, progress);
  if (!scored) return std::nullopt;
  const auto& tables = *scored;
  EpochReport report;
  eval::SpanCounts counts;
  double tokens = 0, right = 0;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const std::size_t units = tables[i].rows();
    const std::vector<std::uint32_t> expected(
        validation_[i].targets.end() - static_cast<std::ptrdiff_t>(units),
        validation_[i].targets.end());
    const eval::TagAnswer answer = eval::decode_tags(tables[i]);
    const auto found = eval::tags_of(answer.spans, units);
    for (std::size_t k = 0; k < units; ++k) right += found[k] == expected[k] ? 1 : 0;
    tokens += static_cast<double>(units);
    report.loss -= eval::log_probability(tables[i], expected);
    counts.add(answer.spans, eval::spans_of(expected));
  }
  report.loss /= tokens;
  report.accuracy = right / tokens;
  report.macro_f1 = counts.f1();
  return report;
}

model::AdapterTensors SpanTraining::best() {
  use_best();
  model::AdapterTensors tensors = model::tensors_of(trainer().adapter());
  tensors.task = model::AdapterTask::token_classification;
  tensors.head.labels = tags_;
  tensors.head.width = best_head().size() / tags_;
  tensors.head.weight.assign(best_head().begin(), best_head().end());
  return tensors;
}

std::optional<std::vector<eval::ProbabilityTable>> SpanTraining::scores(
    std::span<const TrainingExample> examples, const ScoreProgress& progress) {
  use_best();
  return score(examples, true, progress);
}

std::optional<std::vector<eval::ProbabilityTable>> SpanTraining::score(
    std::span<const TrainingExample> examples, bool exact, const ScoreProgress& progress) {
  std::vector<eval::ProbabilityTable> tables(examples.size());
  const bool all = trainer().score(
      examples,
      [&](std::size_t example, const math::Slice& outputs) {
        eval::ProbabilityTable& table = tables[example];
        table.classes = tags_;
        for (std::size_t i = 0; i < outputs.rows; ++i) {
          const float* row = math::host_floats(outputs) + i * outputs.stride;
          table.values.insert(table.values.end(), row, row + tags_);
        }
      },
      exact, progress);
  if (!all) return std::nullopt;
  return tables;
}

}  // namespace malina::tune
