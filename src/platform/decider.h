// What a loaded model needs to be asked questions: the prompts, what is kept between requests, and
// how the engine's result becomes decisions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "decide/label_scorer.h"
#include "decide/span_extractor.h"
#include "platform/decision.h"
#include "platform/generation.h"

namespace malina::platform {

// As plain values.
Decision decision_of(const decide::Question& question, const decide::Answer& answer);

// Safe on many threads.
class Decider {
 public:
  Decider(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary,
          std::size_t context)
      : tokenizer_(std::move(tokenizer)), vocabulary_(vocabulary), context_(context) {}

  using Written = std::vector<decide::SpanExtractor::WrittenToken>;
  using Finish = std::function<std::vector<Decision>(const engine::Finished&, const Written&)>;
  struct Asked {
    engine::Generation generation;  // nothing to compute where its prompt is empty
    Finish finish;                  // the decisions of the request's texts
    std::size_t tokens = 0;         // positions that it may take at most
  };
  // `chat_template` (null: none) must live until finish() has been called. Throws invalid_argument
  // where an only text is refused; of several, each decision says it.
  Asked ask(const DecisionRequest& request, const text::ChatTemplate* chat_template);

  void forget();  // as when the template changes

 private:
  struct Known {  // of one question
    QuestionPointer question;
    decide::LabelScorer scorer;
    std::mutex mutex;
    decide::LabelScores prior;  // empty until it was computed
  };
  std::shared_ptr<Known> known(const QuestionPointer& question, const decide::PromptSource& source);
  Asked ask_labels(const DecisionRequest& request, const decide::PromptSource& source);
  Asked ask_spans(const DecisionRequest& request, const decide::PromptSource& source);
  std::shared_ptr<const decide::TokenBytes> token_bytes();

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::size_t vocabulary_, context_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Known>> known_;  // by canonical_text()
  std::shared_ptr<const decide::TokenBytes> token_bytes_;
};

}  // namespace malina::platform
