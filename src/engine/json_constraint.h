// Answers that are one JSON object: the tokens that may come next, of a whole vocabulary at once.
// The grammar and its bounds are those of text/json_grammar.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/generation.h"
#include "text/json_grammar.h"
#include "text/tokenizer.h"

namespace malina::engine {

// A TokenMask that lives as long as somebody holds it.
using SharedMask = std::shared_ptr<const std::vector<std::uint64_t>>;

// The masks of one vocabulary, computed when first asked for and kept, within a bound. Safe on many
// threads.
class JsonMasks {
 public:
  // Tokens from `vocabulary` on, which the model has no output for, never come. Takes 0.1 s or less
  // for 262,144 tokens. Throws base::Error(unsupported) where an object could be begun that this
  // vocabulary cannot end: it lacks a byte of text::kJsonClosingBytes as a token, or an end token.
  JsonMasks(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary);
  ~JsonMasks();

  // Never empty. Control tokens are never in it; the tokenizer's end tokens are exactly when the
  // object is complete, and then nothing else is.
  SharedMask find(const text::JsonState& state);

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  struct Tables;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::unique_ptr<Tables> tables_;
};

// Holds one generation to a JSON object. One owner, one thread.
class JsonConstraint final : public Constraint {
 public:
  explicit JsonConstraint(std::shared_ptr<JsonMasks> masks) : masks_(std::move(masks)) {}

  TokenMask allowed() override;
  // Throws base::Error(internal) for a token that was not allowed.
  void accept(Token token) override;

 private:
  std::shared_ptr<JsonMasks> masks_;
  text::JsonState state_;
  SharedMask mask_;  // of state_, once it was asked for
};

// Makes the constraints of one model; what they share is computed with the first. Any thread, best
// not the engine's.
class JsonMode {
 public:
  JsonMode(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary)
      : tokenizer_(std::move(tokenizer)), vocabulary_(vocabulary) {}

  // Throws what JsonMasks() throws, each time.
  std::unique_ptr<Constraint> constraint() const;

 private:
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::size_t vocabulary_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<JsonMasks> masks_;  // null until the first constraint
};

}  // namespace malina::engine
