// How a question and a text become the tokens that a model reads, and a label those that it would
// answer. Whoever tunes, measures or serves decisions uses these, so that all three see the same.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decide/question.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace malina::decide {

using text::Token;

struct PromptSource {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  // Null: the model has none, and the prompt is plain text that ends with "Answer:". Borrowed.
  const text::ChatTemplate* chat_template = nullptr;
};

// What is said to the model: instructions and options first, which are the same for all texts, then
// the text, then of a multiple choice the one value that is asked about (`option`; otherwise null).
std::string message_of(const Question& question, std::string_view text,
                       const Option* option = nullptr);

// The message by the template, as content that never spells a control token, up to where the answer
// begins. Deterministic: a template that asks for the date gets a fixed one, one that can switch
// thinking off is told to. Throws what the template throws.
std::vector<Token> prompt_tokens(const PromptSource& source, const std::string& message);

// The labels of a question as a model writes them; of a predicate, and of each value of a multiple
// choice, Yes and No, in this order.
std::vector<std::string> labels_of(const Question& question);

// What follows a prompt where the answer is one of the labels.
struct LabelTokens {
  // So many of a prompt's last tokens become others where a label follows: they are not part of the
  // prompt, and each label begins with them. Nearly always 0.
  std::size_t replaced = 0;
  std::vector<Token> replaced_tokens;      // those, as they end every prompt
  std::vector<std::vector<Token>> labels;  // none empty
};
// A label that another one continues, token for token, ends with the token that ends an answer:
// without it, what begins with the longer label would count for the shorter one. No other label
// does: its probability is that the answer begins with it. So the labels are events that exclude
// each other, and their probabilities sum to 1 at most. Throws unsupported where the vocabulary has
// no token for an end and one is needed, or two labels have the same tokens.
LabelTokens label_tokens(const PromptSource& source, const std::vector<std::string>& labels);

}  // namespace malina::decide
