#include "text/tokenizer.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "format/quote.h"
#include "text/vocabulary_tokenizer.h"

namespace malina::text {

using base::Error;
using base::Fault;

std::shared_ptr<const Tokenizer> Tokenizer::create(const format::Metadata& metadata) {
  const auto model = metadata.text("tokenizer.ggml.model");
  if (!model)
    throw Error(Fault::corrupt_file, "tokenizer.ggml.model is missing: the file has no vocabulary");
  if (*model == "llama") return make_sentence_piece(metadata);
  if (*model == "gpt2") return make_byte_level(metadata);
  throw Error(Fault::unsupported,
              fmt::format("tokenizer.ggml.model {} is not supported, only llama and gpt2",
                          format::in_quotes(*model)));
}

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary, const Defaults& defaults,
                                         bool escaped)
    : vocabulary_(std::move(vocabulary)),
      matcher_(vocabulary_, escaped),
      adds_bos_(vocabulary_.add_bos.value_or(defaults.add_bos)),
      adds_eos_(vocabulary_.add_eos.value_or(defaults.add_eos)),
      adds_space_prefix_(vocabulary_.add_space_prefix.value_or(defaults.add_space_prefix)) {
  if (adds_bos_ && !vocabulary_.bos) {
    adds_bos_ = false;
    warn("the file asks for a BOS token but names none: none is added");
  }
  if (adds_eos_ && !vocabulary_.eos) {
    adds_eos_ = false;
    warn("the file asks for an EOS token but names none: none is added");
  }
}

std::vector<Token> VocabularyTokenizer::encode(std::string_view text, EncodeOptions options) const {
  const TrustedRange all{0, text.size()};
  return encode(text, std::span(&all, options.parse_special ? 1 : 0), options);
}

std::vector<Token> VocabularyTokenizer::encode(std::span<const Span> spans,
                                               EncodeOptions options) const {
  std::string text;
  std::vector<TrustedRange> trusted;
  for (const Span& span : spans) {
    if (span.text.empty()) continue;
    const std::size_t begin = text.size();
    text += span.text;
    if (!span.trusted) continue;
    if (!trusted.empty() && trusted.back().end == begin)
      trusted.back().end = text.size();
    else
      trusted.push_back({begin, text.size()});
  }
  return encode(text, trusted, options);
}

std::vector<Token> VocabularyTokenizer::encode(std::string_view text,
                                               std::span<const TrustedRange> trusted,
                                               EncodeOptions options) const {
  if (text.size() > std::numeric_limits<std::int32_t>::max())
    throw Error(Fault::invalid_argument,
                fmt::format("a text of {} bytes is too long to tokenise at once", text.size()));
  std::vector<Token> output;
  output.reserve(text.size() / 4 + 8);
  const auto session = start(text.size());
  bool first = true;
  matcher_.split(
      text, trusted,
      [&](std::string_view plain) {
        session->append(plain, first, output);
        first = false;
      },
      [&](Token token) {
        output.push_back(token);
        first = prefix_follows(token);
      });
  if (options.add_bos && vocabulary_.bos && (output.empty() || output.front() != *vocabulary_.bos))
    output.insert(output.begin(), *vocabulary_.bos);
  return output;
}

bool VocabularyTokenizer::prefix_follows(Token token) const {
  switch (vocabulary_.prefix) {
    case SpacePrefix::segment:
      return !vocabulary_.has(token, kNormalized);
    case SpacePrefix::segment_unless_space:
      return true;
    case SpacePrefix::text:
    case SpacePrefix::text_unless_space:
      break;
  }
  return false;
}

void VocabularyTokenizer::check(Token token) const {
  if (!vocabulary_.holds(token))
    throw Error(
        Fault::invalid_argument,
        fmt::format("token {} is not in the vocabulary of {} tokens", token, vocabulary_size()));
}

std::string_view VocabularyTokenizer::piece(Token token) const {
  check(token);
  return vocabulary_.piece(token);
}

TokenKind VocabularyTokenizer::kind(Token token) const {
  check(token);
  return vocabulary_.kind(token);
}

std::optional<Token> VocabularyTokenizer::find(std::string_view piece) const {
  const Token token = vocabulary_.pieces.find(piece);
  return token < 0 ? std::nullopt : std::optional(token);
}

void VocabularyTokenizer::append(Token token, bool special, std::string& output) const {
  const TokenKind kind = vocabulary_.kind(token);
  if (kind == TokenKind::control || kind == TokenKind::unknown) {
    if (special) output += vocabulary_.piece(token);
    return;
  }
  append_bytes(token, output);
}

std::string VocabularyTokenizer::bytes(Token token, bool special) const {
  check(token);
  std::string output;
  append(token, special, output);
  return output;
}

std::string VocabularyTokenizer::decode(std::span<const Token> tokens, bool special,
                                        bool strip_prefix) const {
  std::string output;
  output.reserve(tokens.size() * 4);
  for (const Token token : tokens) {
    check(token);
    append(token, special, output);
  }
  if (strip_prefix && adds_space_prefix_ && !output.empty() && output.front() == ' ')
    output.erase(0, 1);
  return output;
}

}  // namespace malina::text
