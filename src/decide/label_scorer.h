// Answers from the probabilities that a model gives to whole labels.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decide/answer.h"
#include "decide/prompt.h"
#include "engine/generation.h"

namespace malina::decide {

// Log-probabilities of the labels after each prompt of one text: one prompt, or of a multiple
// choice one for each value. [prompts][labels].
using LabelScores = std::vector<std::vector<double>>;

// What stands in a text's place where a prior is measured.
inline constexpr std::array<std::string_view, 3> kContentFree{"N/A", "[MASK]", ""};

// The rule. A label's probability is the product of those of its tokens (label_tokens() says where
// an end is one of them): summed logarithms. That is a true probability of events that exclude each
// other, so it can be compared between labels of any length, and their sum is label_mass; only then
// are they divided by it to sum to one. Normalisation::mean divides a label's logarithm by its
// number of tokens first: no probability of anything, but where a model spells long labels only
// reluctantly it may be right more often.
//
// With subtract_prior, the label's logarithm without a text (the mean of its probability after the
// texts "N/A", "[MASK]" and "") is taken off: what is left is how much the text speaks for the
// label, so that labels that a model likes by themselves do not win (Zhao et al. 2021, "Calibrate
// Before Use"; Holtzman et al. 2021, "Surface Form Competition", the domain-conditional PMI).
// label_mass is that of the texts themselves.
//
// Immutable; safe on many threads. What PromptSource borrows must outlive it.
class LabelScorer {
 public:
  // Of a predicate, choice or score. `context`: positions that the engine has. Throws as
  // label_tokens() and prompt_tokens() do.
  LabelScorer(PromptSource source, std::shared_ptr<const Question> question, std::size_t context);

  // Some texts as one task of the engine: what they share, as the instructions, is computed once,
  // and of each text only what is its own.
  struct Batch {
    // To be submitted, where it has continuations; owner, scope and deadline are the caller's.
    engine::Generation generation;
    // By text: why it is not part of the generation; "" where it is.
    std::vector<std::string> refusals;
    std::vector<std::size_t> prompt_tokens = {};  // by text
    bool with_prior = false;                      // the texts without content come last
  };
  // A text is refused where it is empty, not UTF-8, or too long for the context with its labels.
  // `prior`: where it was computed before (prior()); otherwise it is part of the batch.
  Batch ask(std::span<const std::string> texts, bool prior_known = false) const;

  // The answers to the batch's texts; of those that were refused, nothing.
  std::vector<Answer> answers(const Batch& batch, const engine::Finished& finished,
                              const LabelScores& prior = {},
                              const Calibration* calibration = nullptr) const;
  // Of each text; empty where it was refused. For those who fit calibrations.
  std::vector<LabelScores> scores(const Batch& batch, const engine::Finished& finished,
                                  const LabelScores& prior = {}) const;

  // The prior alone, for many batches.
  Batch ask_prior() const;
  LabelScores prior(const Batch& batch, const engine::Finished& finished) const;

  // One answer of scores: [prompts][labels], and the mass of each prompt's labels.
  Answer answer_of(const LabelScores& scores, std::span<const double> masses,
                   const Calibration* calibration) const;

  // For those who teach a model to answer: what stands before a label, of a multiple choice for
  // each value, and the tokens of the labels after it. Throws what rendering the prompt throws.
  std::vector<std::vector<Token>> prompts_of(std::string_view text) const;
  const std::vector<std::vector<Token>>& tokens_of_labels() const { return labels_.labels; }
  std::size_t longest_label() const { return longest_label_; }  // in tokens

  const Question& question() const { return *question_; }

 private:
  std::string refusal_of(const std::vector<std::vector<Token>>& prompts) const;
  void share_beginning(Batch& batch, const std::vector<std::vector<Token>>& prompts) const;
  std::size_t prompts() const;  // of a text
  LabelScores sums(const engine::Finished& finished, std::size_t index) const;
  LabelScores normalised(const LabelScores& sums) const;
  LabelScores prior_at(const engine::Finished& finished, std::size_t first) const;

  PromptSource source_;
  std::shared_ptr<const Question> question_;
  std::size_t context_;
  LabelTokens labels_;
  std::size_t longest_label_ = 0;
};

}  // namespace malina::decide
