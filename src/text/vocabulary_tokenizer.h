// What both tokenisers share: special tokens, beginnings, and the way back to bytes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/special_matcher.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace malina::text {

class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<Token> encode(std::string_view text, EncodeOptions options) const override;
  std::vector<Token> encode(std::span<const Span> spans, EncodeOptions options) const override;

  std::size_t vocabulary_size() const override { return vocabulary_.kinds.size(); }
  std::string bytes(Token token, bool special) const override;
  std::string_view piece(Token token) const override;
  TokenKind kind(Token token) const override;
  std::optional<Token> find(std::string_view piece) const override;
  std::string decode(std::span<const Token> tokens, bool special, bool strip_prefix) const override;

  std::optional<Token> bos() const override { return vocabulary_.bos; }
  std::optional<Token> eos() const override { return vocabulary_.eos; }
  bool adds_bos() const override { return adds_bos_; }
  bool adds_eos() const override { return adds_eos_; }
  bool adds_space_prefix() const override { return adds_space_prefix_; }
  std::span<const Token> end_tokens() const override { return vocabulary_.end_tokens; }
  std::string_view model() const override { return vocabulary_.model; }
  std::span<const std::string> warnings() const override { return vocabulary_.warnings; }

 protected:
  // What one call of encode works with: made for its text, thrown away after it.
  class Session {
   public:
    virtual ~Session() = default;
    // Appends the tokens of a text without special tokens. `first`: where the vocabulary's
    // SpacePrefix puts a space.
    virtual void append(std::string_view text, bool first, std::vector<Token>& output) = 0;
  };

  struct Defaults {
    bool add_bos, add_eos, add_space_prefix;
  };
  VocabularyTokenizer(Vocabulary vocabulary, const Defaults& defaults, bool escaped);

  virtual std::unique_ptr<Session> start(std::size_t text_bytes) const = 0;
  // The bytes of a token that is neither control nor unknown.
  virtual void append_bytes(Token token, std::string& output) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  void warn(std::string warning) { vocabulary_.warnings.push_back(std::move(warning)); }

 private:
  std::vector<Token> encode(std::string_view text, std::span<const TrustedRange> trusted,
                            EncodeOptions options) const;
  bool prefix_follows(Token token) const;
  void check(Token token) const;
  void append(Token token, bool special, std::string& output) const;

  Vocabulary vocabulary_;
  SpecialMatcher matcher_;  // refers to vocabulary_
  bool adds_bos_, adds_eos_, adds_space_prefix_;
};

std::shared_ptr<const Tokenizer> make_sentence_piece(const format::Metadata& metadata);
std::shared_ptr<const Tokenizer> make_byte_level(const format::Metadata& metadata);

}  // namespace malina::text
