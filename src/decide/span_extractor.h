// Answers that are stretches of the text itself.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "decide/answer.h"
#include "decide/prompt.h"
#include "decide/verbatim.h"
#include "engine/generation.h"

namespace malina::decide {

// The model writes the likeliest answer of those that are pieces of the text (verbatim.h), so that
// nothing can be invented; where there is nothing, it writes "none". Immutable; safe on many
// threads. What PromptSource borrows must outlive it.
class SpanExtractor {
 public:
  SpanExtractor(PromptSource source, std::shared_ptr<const Question> question,
                std::shared_ptr<const TokenBytes> tokens, std::size_t context);

  // To be submitted; owner, scope and deadline are the caller's. Throws invalid_argument for a text
  // that is empty, not UTF-8, or too long for the context with its answer.
  engine::Generation ask(std::string_view text) const;

  struct WrittenToken {
    Token token;
    double log_probability;
  };
  // What the generation wrote of `text`.
  Answer answer_of(std::string_view text, std::span<const WrittenToken> written,
                   const Calibration* calibration = nullptr) const;

 private:
  PromptSource source_;
  std::shared_ptr<const Question> question_;
  std::shared_ptr<const TokenBytes> tokens_;
  std::size_t context_;
};

}  // namespace malina::decide
