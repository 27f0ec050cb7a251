// Labels as a model writes them: the prompt is the one of a decision (decide/prompt.h), a choice
// among the labels, and what is learned and scored are the tokens of a label right after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "decide/label_scorer.h"
#include "tune/trainer.h"

namespace malina::tune {

inline constexpr std::string_view kLabelInstructions = "Which label fits?";

// Immutable; safe on many threads.
class LabelTask {
 public:
  // A text is read up to `max_tokens`, or less where the model's `context` has no room for so many.
  // Throws base::Error where labels cannot be asked for: invalid_argument where they are no
  // choice's (decide::QuestionLimits); unsupported where two are the same tokens in this model, or
  // the question leaves no room for a text; and what rendering a prompt throws.
  LabelTask(decide::PromptSource source, const std::vector<std::string>& labels,
            const std::string& instructions, std::size_t max_tokens, std::size_t context);

  // A text as it is asked about.
  struct Reading {
    std::string text;  // its end left out where it was too long
    std::vector<std::int32_t> prompt;
    bool truncated = false;
  };
  // Throws base::Error(invalid_argument) where nothing of it would be left.
  Reading read(std::string_view text) const;

  // Loss at the label's tokens alone.
  TrainingExample example(const Reading& reading, std::size_t label) const;

  std::size_t labels() const { return scorer_.tokens_of_labels().size(); }
  const decide::LabelScorer& scorer() const { return scorer_; }
  // Positions of the longest text with its question and a label.
  std::size_t context() const { return context_; }
  const std::shared_ptr<const text::Tokenizer>& tokenizer() const { return source_.tokenizer; }

 private:
  std::string beginning(std::span<const std::int32_t> tokens, std::size_t count) const;

  decide::PromptSource source_;
  decide::LabelScorer scorer_;
  std::size_t text_tokens_ = 0, context_ = 0;
};

}  // namespace malina::tune
