#include "platform/local_escalation.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

#include "base/error.h"
#include "platform/language_model.h"
#include "platform/platform.h"
#include "platform/tuning.h"
#include "platform/upstream.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr auto kPoll = std::chrono::milliseconds(50);

}  // namespace

void check_local_escalation(Platform& platform, std::span<const QuestionPointer> questions) {
  for (const QuestionPointer& question : questions) {
    const std::string target = escalation_of(*question);
    if (target.empty()) continue;
    if (upstream_of(target))
      throw Error(Fault::invalid_argument,
                  fmt::format("'{}' is an upstream, and nothing leaves this machine but through a "
                              "server that allows it ('malina serve --upstreams')",
                              target));
    if (TunedClassifiers(platform.home()).find(target))
      throw Error(
          Fault::invalid_argument,
          fmt::format("'{}' was tuned for its own question: no other is asked of it", target));
    platform.resolve(target);
  }
}

LocalEscalation::LocalEscalation(Load load) : load_(std::move(load)) {}
LocalEscalation::~LocalEscalation() = default;

LanguageModel& LocalEscalation::model_of(const std::string& target) {
  std::unique_ptr<LanguageModel>& model = models_[target];
  if (!model) model = load_(target);
  return *model;
}

void LocalEscalation::prepare(std::span<const QuestionPointer> questions) {
  for (const QuestionPointer& question : questions)
    if (const std::string target = escalation_of(*question); !target.empty())
      model_of(target).prepare(DecisionRequest{.question = question, .texts = {"x"}});
}

std::vector<Decision> LocalEscalation::ask(const QuestionPointer& question,
                                           std::span<const std::string> texts,
                                           const std::function<void()>& waiting) {
  const std::string target = escalation_of(*question);
  LanguageModel& model = model_of(target);
  // The pieces of each text are looked for by themselves.
  const std::size_t at_once = extracts(*question) ? 1 : texts.size();
  std::vector<Decision> decisions;
  for (std::size_t i = 0; i < texts.size(); i += at_once) {
    auto some = decide(model, question, texts.subspan(i, at_once), waiting);
    std::move(some.begin(), some.end(), std::back_inserter(decisions));
  }
  for (Decision& decision : decisions) {
    if (decision.refusal.empty())
      note_escalation(decision, target);
    else
      decision.refusal = fmt::format("{}: {}", target, decision.refusal);
  }
  return decisions;
}

// Where they are refused together each is asked alone, so that it is one text's error.
std::vector<Decision> LocalEscalation::decide(LanguageModel& model, const QuestionPointer& question,
                                              std::span<const std::string> texts,
                                              const std::function<void()>& waiting) {
  DecisionRequest request{.question = question, .texts = {texts.begin(), texts.end()}};
  request.origin.cache_scope = "file";
  try {
    const auto answers = model.start(model.prepare(request));
    Answer& answer = *answers.front();
    while (!answer.ended()) {
      while (!answer.wait_for(kPoll))
        if (waiting) waiting();
      answer.poll();
    }
    std::vector<Decision> decisions = answer.decisions();
    if (decisions.size() != texts.size())
      throw Error(Fault::cancelled, "the decisions were stopped");
    return decisions;
  } catch (const Error& error) {
    if (error.fault() != Fault::invalid_argument && error.fault() != Fault::unsupported) throw;
    std::vector<Decision> decisions(texts.size());
    if (texts.size() == 1) {
      decisions[0].refusal = error.what();
      return decisions;
    }
    for (std::size_t i = 0; i < texts.size(); ++i)
      decisions[i] = std::move(decide(model, question, texts.subspan(i, 1), waiting)[0]);
    return decisions;
  }
}

}  // namespace malina::platform
