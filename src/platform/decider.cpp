#include "platform/decider.h"

#include <algorithm>

#include "base/error.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kMostKnown = 64;

std::size_t positions_of(const engine::Generation& generation) {
  std::size_t tokens = generation.prompt.size();
  for (const engine::Continuation& each : generation.continuations) tokens += each.tokens.size();
  return tokens;
}

}  // namespace

Decision decision_of(const decide::Question& question, const decide::Answer& answer) {
  return {.refusal = {},
          .answer = decide::answer_text(question, answer),
          .probability = answer.probability,
          .confidence = answer.confidence,
          .label_mass = answer.label_mass,
          .calibrated = answer.calibrated,
          .abstain = answer.abstain,
          .json = decide::to_json(question, answer),
          .systemone = question.type == decide::QuestionType::extract
                           ? nlohmann::ordered_json()
                           : decide::to_systemone(question, answer)};
}

void Decider::forget() {
  const std::scoped_lock lock(mutex_);
  known_.clear();
}

std::shared_ptr<const decide::TokenBytes> Decider::token_bytes() {
  const std::scoped_lock lock(mutex_);
  if (!token_bytes_)
    token_bytes_ = std::make_shared<const decide::TokenBytes>(tokenizer_, vocabulary_);
  return token_bytes_;
}

// What is known of a question that is asked again and again, as of a file.
std::shared_ptr<Decider::Known> Decider::known(const QuestionPointer& question,
                                               const decide::PromptSource& source) {
  const std::scoped_lock lock(mutex_);
  std::string key = canonical_text(*question);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  if (known_.size() >= kMostKnown) known_.erase(known_.begin());
  auto made = std::shared_ptr<Known>(
      new Known{question, decide::LabelScorer(source, question, context_), {}, {}});
  known_.emplace(std::move(key), made);
  return made;
}

Decider::Asked Decider::ask(const DecisionRequest& request,
                            const text::ChatTemplate* chat_template) {
  const decide::PromptSource source{tokenizer_, chat_template};
  return extracts(*request.question) ? ask_spans(request, source) : ask_labels(request, source);
}

Decider::Asked Decider::ask_labels(const DecisionRequest& request,
                                   const decide::PromptSource& source) {
  const std::shared_ptr<Known> known = this->known(request.question, source);
  bool prior_known = false;
  {
    const std::scoped_lock lock(known->mutex);
    prior_known = !known->prior.empty();
  }
  auto batch =
      std::make_shared<decide::LabelScorer::Batch>(known->scorer.ask(request.texts, prior_known));
  if (request.texts.size() == 1 && !batch->refusals[0].empty())
    throw Error(Fault::invalid_argument, batch->refusals[0], {.parameter = "input"});
  Asked asked;
  asked.generation = std::move(batch->generation);
  asked.tokens = positions_of(asked.generation);
  asked.finish = [known, batch](const engine::Finished& finished, const Written&) {
    decide::LabelScores prior;
    if (known->scorer.question().subtract_prior && !finished.continuations.empty()) {
      const std::scoped_lock lock(known->mutex);
      if (known->prior.empty()) known->prior = known->scorer.prior(*batch, finished);
      prior = known->prior;
    }
    const auto answers = known->scorer.answers(*batch, finished, prior);
    std::vector<Decision> decisions;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (batch->refusals[i].empty())
        decisions.push_back(decision_of(known->scorer.question(), answers[i]));
      else
        decisions.emplace_back().refusal = batch->refusals[i];
    }
    return decisions;
  };
  return asked;
}

Decider::Asked Decider::ask_spans(const DecisionRequest& request,
                                  const decide::PromptSource& source) {
  if (request.texts.size() != 1)
    throw Error(Fault::internal, "pieces of several texts are asked for at once");
  const auto extractor =
      std::make_shared<decide::SpanExtractor>(source, request.question, token_bytes(), context_);
  Asked asked;
  asked.generation = extractor->ask(request.texts[0]);
  asked.tokens = asked.generation.prompt.size();
  asked.finish = [extractor, question = request.question, text = request.texts[0]](
                     const engine::Finished&, const Written& written) {
    return std::vector{decision_of(*question, extractor->answer_of(text, written))};
  };
  return asked;
}

}  // namespace malina::platform
