// What teaching a model to write will take.
#include "tune/generation_tuning.h"
#include "tune/rate_search.h"
#include "tune/step_time.h"
#include "tune/training_memory.h"

namespace malina::tune {

MemoryParts GenerationTuning::working_memory() const {
  MemoryParts parts = adapter_training_memory(
      model_, request_.recipe, 0,
      filled_share(training_.examples, validation_.examples, request_.recipe));
  if (request_.curve && !curve_rows().empty()) add_trial(parts);
  return parts;
}

std::uint64_t GenerationTuning::settle_memory(std::uint64_t most) const {
  const MemoryParts parts = working_memory();
  check_memory(parts, most);
  return bytes_of(parts);
}

TuningPlan GenerationTuning::plan(const GenerationEvents& events) {
  TuningPlan plan = plan_of(working_memory(), resident_bytes());
  if (plan.fits()) plan_time(plan, events);
  return plan;
}

void GenerationTuning::plan_time(TuningPlan& plan, const GenerationEvents& events) {
  if (events.stage) events.stage("trying a few steps", 0, 1);
  const Recipe& recipe = request_.recipe;
  Trainer trainer(model_, device_, recipe, 0, training_.examples);
  const StepTime time = measure_steps(trainer, validation_.examples);
  plan_steps(
      plan, trainer, time,
      static_cast<std::uint64_t>(time.positions * static_cast<double>(trainer.steps_per_epoch())));
  const double scored = time.per_scored * static_cast<double>(tokens_of(validation_.examples));
  const double epoch = time.per_position * static_cast<double>(plan.positions) + scored;
  plan.stages = {{"the base on the validation rows", scored},
                 {recipe.full ? "training of all weights" : "training of the adapter",
                  epoch * static_cast<double>(recipe.epochs)}};
  if (const auto epochs = search_epochs(request_.search.size(), recipe.epochs);
      epochs > 0 && !recipe.full)
    plan.stages.insert(plan.stages.begin(),
                       {"search for the learning rate", static_cast<double>(epochs) * epoch});
  if (request_.curve && !recipe.full) {
    double curve = 0;
    for (const std::size_t rows : curve_rows()) {
      const std::vector<TrainingExample> examples = examples_of(rows);
      const double share =
          static_cast<double>(examples.size()) / static_cast<double>(training_.examples.size());
      // The last part is all rows: what was trained answers once more.
      const bool all = examples.size() == training_.examples.size();
      curve +=
          all ? scored
              : static_cast<double>(curve_epochs(examples.size())) *
                        (time.per_position * share * static_cast<double>(plan.positions) + scored) +
                    scored;
    }
    if (curve > 0) plan.stages.push_back({"learning curve of the adapter", curve});
  }
  plan.seconds = 0;
  for (const TuningPlan::Stage& stage : plan.stages) plan.seconds += stage.seconds;
}

}  // namespace malina::tune
