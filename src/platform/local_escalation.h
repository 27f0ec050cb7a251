// What a model of this machine abstained from, asked of another one, where no server is between.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "platform/decision.h"

namespace malina::platform {

class LanguageModel;
class Platform;

// Throws where a target of these questions (escalation_of) cannot be asked: not_found where nothing
// is called so; invalid_argument for an upstream, which only a server asks, and for what was tuned
// for a question of its own.
void check_local_escalation(Platform& platform, std::span<const QuestionPointer> questions);

// For one thread.
class LocalEscalation {
 public:
  using Load = std::function<std::unique_ptr<LanguageModel>(const std::string& target)>;
  explicit LocalEscalation(Load load);
  ~LocalEscalation();

  // Asks the question's target, which is loaded with the first question for it and kept: a decision
  // for each text, which says who gave it. One that the target cannot be asked is refused there.
  std::vector<Decision> ask(const QuestionPointer& question, std::span<const std::string> texts);

 private:
  std::vector<Decision> decide(LanguageModel& model, const QuestionPointer& question,
                               std::span<const std::string> texts);

  const Load load_;
  std::map<std::string, std::unique_ptr<LanguageModel>, std::less<>> models_;
};

}  // namespace malina::platform
