// Prompt lookup: what followed the same tokens before is guessed to follow again, and verified in
// one step (Saxena, "Prompt Lookup Decoding", 2023; Yang et al., "Inference with Reference", 2023).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/step_pace.h"
#include "text/tokenizer.h"

namespace malina::engine {

using text::Token;

// Tokens are the same with it and without: a guess is kept where the sampler chooses the same.
enum class Speculation {
  off,
  adaptive,  // as many guesses as pay, by what was right and by what rows cost
  always,    // as many as there can be, to test it
};

inline constexpr std::size_t kMostDrafts = 8;
// Steps with more rows than this read the weights at their best: guesses cost what they may save.
inline constexpr std::size_t kMostDraftRows = 16;

// Up to `most` tokens that followed the latest place where the last tokens (of two to four, as many
// as possible) stood before. Where they end at the end, they go on from their own beginning: a
// loop.
std::vector<Token> look_up(std::span<const Token> tokens, std::size_t most);

// How well the guesses of one generation do, and how many the next step should try.
class DraftLength {
 public:
  // For a step of so many rows which gives so many tokens without further guesses. 0: none pays.
  std::size_t choose(const StepPace& pace, std::size_t rows, double tokens);
  void verified(std::size_t proposed, std::size_t accepted);
  double rate() const { return rate_; }
  // Tokens that so many guesses are expected to give: one fails all after it.
  double expected(std::size_t drafts) const;

 private:
  double rate_ = 0.5;        // how often a guess is right where those before it are
  std::size_t refused_ = 0;  // how often none paid since the last attempt
};

}  // namespace malina::engine
