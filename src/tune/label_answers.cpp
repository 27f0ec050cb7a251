#include "tune/label_answers.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace malina::tune {

namespace {

constexpr std::size_t kTexts = 8;  // of one task of the engine
// Positions for texts and labels beside one whole question; the trie is walked in pieces that fit.
constexpr std::size_t kRoom = 2048;
const std::string kScope = "labels";  // within it the question's beginning is computed once

engine::EngineOptions options_of(const LabelTask& task) {
  // A page for each fork on the way down (engine/branches.h): one between texts, and labels'.
  const std::size_t forks = kTexts + task.scorer().longest_label() + 1;
  return {.precision = math::Precision::exact,
          .context = task.context(),
          .positions = task.context() + kRoom + forks * math::kPagePositions};
}

}  // namespace

LabelAnswers::LabelAnswers(std::shared_ptr<const model::Model> model,
                           std::shared_ptr<const LabelTask> task,
                           const model::AdapterTensors& adapter, math::Device& device,
                           engine::StepArbiter* turns)
    : task_(std::move(task)),
      adapter_(model::to_adapter(adapter, "", device)),
      engine_(std::move(model), task_->tokenizer(), device, turns != nullptr ? *turns : own_turns_,
              options_of(*task_)) {}

std::uint64_t LabelAnswers::bytes(const model::Sizes& sizes, std::size_t context) {
  constexpr std::uint64_t kActivations = 64 << 20;  // model/transformer.h, and outputs
  const std::uint64_t positions = std::min(context, sizes.context) + 2 * kRoom;
  const std::uint64_t position = 2 * sizes.layers * sizes.kv_heads * sizes.head_width * 2;  // f16
  return kActivations + positions * position;
}

engine::Finished LabelAnswers::run(decide::LabelScorer::Batch& batch) {
  batch.generation.adapter = adapter_;
  batch.generation.cache_scope = kScope;
  const auto stream = engine_.submit(std::move(batch.generation));
  while (stream->next()) {
  }
  return stream->finished();
}

std::optional<LabelAnswers::Scores> LabelAnswers::scores(std::span<const std::string> texts,
                                                         const ScoreProgress& progress) {
  Scores result;
  for (std::size_t first = 0; first < texts.size(); first += kTexts) {
    if (progress && !progress(first)) return std::nullopt;
    const auto some = texts.subspan(first, std::min(kTexts, texts.size() - first));
    auto batch = task_->scorer().ask(some);
    const bool any = !batch.generation.continuations.empty();
    const engine::Finished finished = any ? run(batch) : engine::Finished();
    for (auto& scores : task_->scorer().scores(batch, finished))
      result.push_back(scores.empty() ? std::vector<double>() : std::move(scores.front()));
  }
  return result;
}

std::vector<double> LabelAnswers::prior() {
  auto batch = task_->scorer().ask_prior();
  const engine::Finished finished = run(batch);
  return task_->scorer().prior(batch, finished).front();
}

eval::ProbabilityTable probabilities_of(const LabelAnswers::Scores& scores, std::size_t labels,
                                        std::span<const double> prior) {
  eval::ProbabilityTable table{.classes = labels, .values = {}};
  for (const auto& row : scores) {
    const std::size_t first = table.values.size();
    if (row.empty()) table.values.resize(first + labels);  // nothing was read: all are alike
    for (std::size_t label = 0; label < row.size(); ++label)
      table.values.push_back(row[label] - (prior.empty() ? 0 : prior[label]));
    eval::softmax(std::span(table.values).subspan(first));
  }
  return table;
}

}  // namespace malina::tune
