// Answers that are pieces of a text, word for word: the tokens that may come next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decide/answer.h"
#include "engine/generation.h"
#include "text/tokenizer.h"

namespace malina::decide {

using text::Token;

// Tokens by their bytes, up to kLongest of them; control tokens are not among them. Immutable; safe
// on many threads.
class TokenBytes {
 public:
  static constexpr std::size_t kLongest = 32;

  // Tokens from `vocabulary` on, which the model has no output for, never come.
  TokenBytes(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary);

  std::span<const Token> find(std::string_view bytes) const;  // those that are these bytes
  std::size_t vocabulary() const { return vocabulary_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::size_t vocabulary_;
  std::unordered_map<std::string, std::vector<Token>, Hash, std::equal_to<>> tokens_;
};

// A piece of the text in bytes, [begin, end).
struct Piece {
  std::size_t begin = 0, end = 0;
};

// Follows an answer: "none", or lines that are each a piece of the text. A piece begins and ends at
// the edge of a word, has no line's end in it, and takes no byte that an earlier one has; one space
// before it is passed over, and white space at its end. Where the text has it several times, it is
// the first that is free. A word is a run of ASCII's letters and digits and of bytes beyond ASCII.
// A text that has the word "none" itself: the answer is that piece.
class VerbatimReader {
 public:
  static constexpr std::string_view kNone = "none";

  VerbatimReader(std::string_view text, std::size_t most_pieces);

  // What may come next: "\n" after a piece, otherwise bytes of one piece, each up to so many.
  using Visit = std::function<void(std::string_view bytes)>;
  void each_next(std::size_t most_bytes, const Visit& visit) const;
  // Where a piece begins, which takes longest, each_next() is each_start() of the whole text and
  // each_besides(). each_start(): what begins in [first, last) of the text, without a space before
  // it, or with one only.
  bool at_start() const { return length_ == 0 && pieces_.size() < most_pieces_; }
  bool may_space() const { return length_ == 0 && !spaced_; }
  void each_start(std::size_t first, std::size_t last, std::size_t most_bytes, bool spaced,
                  const Visit& visit) const;
  void each_besides(std::size_t most_bytes, const Visit& visit) const;
  // The piece under way, without white space at its end, where it is one.
  std::optional<Piece> complete() const;
  bool may_end() const;
  void accept(std::string_view bytes);  // one of each_next()
  void end();                           // the piece under way, if it is one, is the last
  // Those that were read; of which token the last one is, is the caller's to know.
  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  bool is_free(std::size_t begin, std::size_t end) const;
  bool is_begin(std::size_t at) const;
  std::string_view rest_from(std::size_t first, std::size_t most_bytes) const;
  void begin_piece();

  std::string text_;
  std::size_t most_pieces_;
  std::vector<bool> taken_;
  std::vector<Piece> pieces_;
  // Of the piece under way:
  std::vector<std::size_t> begins_;  // where in the text it may stand
  std::size_t length_ = 0;           // its bytes so far
  bool spaced_ = false;              // a space was passed over
  std::optional<std::size_t> none_;  // bytes of kNone, while it may yet be that
};

// Holds one generation to such an answer. One owner, one thread.
class VerbatimConstraint final : public engine::Constraint {
 public:
  VerbatimConstraint(std::shared_ptr<const TokenBytes> tokens, std::string_view text,
                     std::size_t most_pieces);
  engine::TokenMask allowed() override;
  void accept(Token token) override;

 private:
  // Of how many begins of a piece a token is the first.
  using Starts = std::unordered_map<Token, std::uint32_t>;
  void count_starts(std::size_t first, std::size_t last, bool add);

  std::shared_ptr<const TokenBytes> tokens_;
  VerbatimReader reader_;
  // Counted with the whole text when this is made, and later only where a piece was taken: the
  // engine waits for allowed().
  Starts starts_, spaced_starts_;
  std::vector<std::uint64_t> mask_;
};

// The piece of `text` with its offsets in code points too; of its probability nothing is said.
Span span_of(std::string_view text, const Piece& piece);

}  // namespace malina::decide
