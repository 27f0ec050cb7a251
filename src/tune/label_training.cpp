#include "tune/label_training.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/metrics.h"

namespace malina::tune {

namespace {

// Of the vocabulary: the logarithm of the sum of the exponentials.
double log_sum(std::span<const float> logits) {
  const double most = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - most);
  return most + std::log(sum);
}

}  // namespace

// Which tokens may come next where a label has begun, and the first label that each leads to.
class LabelTraining::Trie {
 public:
  explicit Trie(std::span<const std::vector<decide::Token>> labels)
      : labels_(labels.begin(), labels.end()), nodes_(1) {
    for (std::size_t label = 0; label < labels_.size(); ++label) {
      std::size_t at = 0;
      for (const decide::Token token : labels_[label]) {
        const auto [child, made] = nodes_[at].children.try_emplace(token, nodes_.size());
        at = child->second;
        if (made) nodes_.push_back({.children = {}, .label = static_cast<std::uint32_t>(label)});
      }
    }
  }

  // On the way down to the right label.
  struct Judgement {
    double log_probability = 0;  // of the right label's tokens so far
    std::uint32_t answer = 0;    // the right one, or one that begins as the likeliest tokens do
    std::size_t node = 0, depth = 0;
  };
  // `outputs`: logits of the vocabulary, a row for each of the label's next tokens.
  void judge(std::uint32_t label, const math::Slice& outputs, Judgement& judgement) const {
    if (judgement.depth == 0) judgement.answer = label;
    for (std::size_t i = 0; i < outputs.rows; ++i, ++judgement.depth) {
      const std::span logits(math::host_floats(outputs) + i * outputs.stride, outputs.columns);
      const auto logit = [&](decide::Token token) {
        return double{logits[static_cast<std::size_t>(token)]};
      };
      const decide::Token right = labels_[label][judgement.depth];
      const auto& children = nodes_[judgement.node].children;
      const auto likeliest = std::max_element(
          children.begin(), children.end(),
          [&](const auto& a, const auto& b) { return logit(a.first) < logit(b.first); });
      if (judgement.answer == label && likeliest->first != right)
        judgement.answer = nodes_[likeliest->second].label;
      judgement.log_probability += logit(right) - log_sum(logits);
      judgement.node = children.at(right);
    }
  }

 private:
  struct Node {
    std::map<decide::Token, std::size_t> children;
    std::uint32_t label = 0;
  };
  std::vector<std::vector<decide::Token>> labels_;
  std::vector<Node> nodes_;
};

LabelTraining::LabelTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                             std::shared_ptr<const LabelTask> task,
                             std::span<const TrainingExample> training,
                             std::span<const TrainingExample> validation,
                             std::span<const std::uint32_t> classes,
                             const AdapterTrainingOptions& options)
    : AdapterTraining(std::move(model), device, 0, training, options),
      validation_(validation),
      classes_(classes),
      trie_(std::make_unique<Trie>(task->scorer().tokens_of_labels())) {}

LabelTraining::~LabelTraining() = default;

std::optional<EpochReport> LabelTraining::measure(const ScoreProgress& progress) {
  std::vector<Trie::Judgement> judgements(validation_.size());
  const auto judge = [&](std::size_t example, const math::Slice& outputs) {
    trie_->judge(classes_[example], outputs, judgements[example]);
  };
  if (!trainer().score(validation_, judge, false, progress)) return std::nullopt;
  EpochReport report;
  std::vector<std::uint32_t> answers;
  for (const Trie::Judgement& judgement : judgements) {
    report.loss -= judgement.log_probability / static_cast<double>(validation_.size());
    answers.push_back(judgement.answer);
  }
  report.accuracy = eval::accuracy(classes_, answers);
  report.macro_f1 = eval::macro_f1(classes_, answers);
  return report;
}

model::AdapterTensors LabelTraining::best() {
  use_best();
  model::AdapterTensors tensors = model::tensors_of(trainer().adapter());
  tensors.task = model::AdapterTask::language_model;
  return tensors;
}

}  // namespace malina::tune
