// The probabilities of whole labels, as serving computes them: by an engine, with an adapter.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/probability_table.h"
#include "model/adapter_tensors.h"
#include "tune/label_task.h"

namespace malina::tune {

// Owns an engine whose cache of keys and values holds one question with some texts and their
// labels, whatever the model's context. While a member runs, the device's pool is used by the
// engine's thread: nobody else may use it then, or only between its steps, where a turn is taken
// for each. One thread.
class LabelAnswers {
 public:
  // In exact arithmetic, as adapters are trained: in 8 bits certificates would depend on the
  // processor. `turns`: of which each step of the engine takes one, so that others compute between
  // them; it must outlive this. Null: whoever asks has the processor to itself. Throws
  // base::Error(out_of_memory).
  LabelAnswers(std::shared_ptr<const model::Model> model, std::shared_ptr<const LabelTask> task,
               const model::AdapterTensors& adapter, math::Device& device,
               engine::StepArbiter* turns = nullptr);

  // That it takes beside the model and the adapter, about, where a whole question with its text and
  // a label has so many positions.
  static std::uint64_t bytes(const model::Sizes& sizes, std::size_t context);

  // Log-probabilities that the model's answer begins with the label: by text, by label.
  using Scores = std::vector<std::vector<double>>;
  // Texts are LabelTask::Reading's; of one that no decision would accept (decide::refusal_of_text)
  // all are alike. Nothing where `progress` stopped it.
  std::optional<Scores> scores(std::span<const std::string> texts,
                               const ScoreProgress& progress = {});
  // What they are without a text (decide/label_scorer.h).
  std::vector<double> prior();

 private:
  engine::Finished run(decide::LabelScorer::Batch& batch);

  std::shared_ptr<const LabelTask> task_;
  std::shared_ptr<const model::Adapter> adapter_;
  engine::StepArbiter own_turns_;  // where nobody else's are taken
  engine::Engine engine_;
};

// Less the prior where there is one, and made to sum to one.
eval::ProbabilityTable probabilities_of(const LabelAnswers::Scores& scores, std::size_t labels,
                                        std::span<const double> prior);

}  // namespace malina::tune
