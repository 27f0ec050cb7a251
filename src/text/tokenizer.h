// Text to token ids and back, equal to the reference implementations (models.md section 3).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"

namespace malina::text {

using Token = std::int32_t;

// A stretch of text with its provenance. Special (control) tokens are recognised in `trusted` text
// only: a template's own strings. Content never yields a control token.
struct Span {
  std::string text;
  bool trusted;
};

struct EncodeOptions {
  bool add_bos = false;        // put the model's BOS first (nothing if the model has none)
  bool parse_special = false;  // read control tokens from the text (encode(string_view) only)
};

enum class TokenKind : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

// Immutable; safe on many threads.
class Tokenizer {
 public:
  // From tokenizer.ggml.* metadata; a vocabulary-only file is enough. Throws corrupt_file or
  // unsupported (an unknown model or pre-tokeniser is named).
  static std::shared_ptr<const Tokenizer> create(const format::Metadata& metadata);
  virtual ~Tokenizer() = default;

  virtual std::vector<Token> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  // A rendered chat: adjacent spans are joined; the text between two special tokens is tokenised as
  // one string whatever the provenance of its parts. A special is matched only where it lies wholly
  // in trusted text. Never adds a BOS that the text already begins with.
  virtual std::vector<Token> encode(std::span<const Span> spans, EncodeOptions options = {}) const = 0;

  virtual std::size_t vocabulary_size() const = 0;
  // What the token adds to the output: its bytes; for a control token its name only where
  // `special` is true, otherwise nothing. A leading space of SentencePiece is a space here.
  virtual std::string bytes(Token token, bool special = false) const = 0;
  // The vocabulary's own spelling ("▁Hello", "Ġworld", "<0x0A>"). Throws invalid_argument when out
  // of range.
  virtual std::string_view piece(Token token) const = 0;
  virtual TokenKind kind(Token token) const = 0;
  virtual std::optional<Token> find(std::string_view piece) const = 0;  // by spelling
  // Whole sequence back to bytes (for SentencePiece with add_space_prefix, the one leading space that
  // encode put there is dropped when `strip_prefix`).
  virtual std::string decode(std::span<const Token> tokens, bool special = false,
                             bool strip_prefix = true) const = 0;

  virtual std::optional<Token> bos() const = 0;
  virtual std::optional<Token> eos() const = 0;
  virtual bool adds_bos() const = 0;        // the model's own setting
  virtual bool adds_eos() const = 0;
  virtual bool adds_space_prefix() const = 0;
  // eos, eot, and those of the usual end tokens that the vocabulary holds (models.md section 3.3).
  virtual std::span<const Token> end_tokens() const = 0;
  virtual std::string_view model() const = 0;          // "llama", "gpt2"
  virtual std::string_view pre_tokenizer() const = 0;  // "smollm"; empty for SentencePiece
  virtual std::span<const std::string> warnings() const = 0;  // what was assumed, for inspect
};

// Bytes of tokens to whole UTF-8 characters: holds back an unfinished character, replaces each
// invalid byte by U+FFFD. One owner, one thread.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);  // what is complete now
  std::string finish();                      // what was held back, as U+FFFD

 private:
  std::string held_;
};

}  // namespace malina::text
