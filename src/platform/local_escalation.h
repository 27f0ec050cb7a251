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

  // Loads the targets of the questions, and throws what is thrown where one could be asked none.
  void prepare(std::span<const QuestionPointer> questions);
  // Asks the question's target, which is loaded where it is not yet, and kept: a decision for each
  // text, which says who gave it. One that the target cannot be asked is refused there. `waiting`
  // is called meanwhile, and may throw.
  std::vector<Decision> ask(const QuestionPointer& question, std::span<const std::string> texts,
                            const std::function<void()>& waiting = {});

 private:
  LanguageModel& model_of(const std::string& target);
  std::vector<Decision> decide(LanguageModel& model, const QuestionPointer& question,
                               std::span<const std::string> texts,
                               const std::function<void()>& waiting);

  const Load load_;
  std::map<std::string, std::unique_ptr<LanguageModel>, std::less<>> models_;
};

}  // namespace malina::platform
