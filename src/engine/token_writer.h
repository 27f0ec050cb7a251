// What a row's logits make of a task: a token chosen or scored, its text, the end.
#pragma once

#include <exception>
#include <memory>
#include <span>

#include "engine/task.h"
#include "text/tokenizer.h"

namespace malina::engine {

// Writes to the tasks' streams. The engine's thread.
class TokenWriter {
 public:
  // Tokens from `vocabulary` on (rows that pad the output matrix) never come.
  TokenWriter(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary)
      : tokenizer_(std::move(tokenizer)), vocabulary_(vocabulary) {}

  // The logits that the token at `index` of the task's tokens gave; log_sum: of their exponentials,
  // where the task wants scores. Chooses the next token after the last one, scores the next before.
  // What goes wrong ends this task alone.
  void take(Task& task, std::size_t index, std::span<const float> logits, double log_sum);
  // The logits after a node of the task's continuations.
  void take_branch(Task& task, Branches::Node node, std::span<const float> logits, double log_sum);
  void end(Task& task, FinishReason reason);
  void fail(Task& task, std::exception_ptr error);
  // So many tokens of the prompt are computed: all of them begin the answer, or end what has none.
  void prompt_computed(Task& task, std::size_t tokens);

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::size_t vocabulary() const { return vocabulary_; }

 private:
  void begin_scores(Task& task);
  void score(Task& task, std::size_t index, std::span<const float> logits, double log_sum);
  void choose(Task& task, std::span<const float> logits, double log_sum);
  void add_scores(const Task& task, TokenEvent& event, std::span<const float> logits,
                  double log_sum) const;

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::size_t vocabulary_;
};

}  // namespace malina::engine
