#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "format/quote.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;

// Texts at which generation stops wherever a vocabulary holds them (models.md section 3.3, with the
// further ones of llama.cpp's list).
constexpr std::string_view kEndPieces[] = {
    "<|im_end|>",
    "<|end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<EOT>",
    "_<EOT>",
    "▁<EOT>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<|return|>",
    "<|call|>",
    "<｜end▁of▁sentence｜>",
    "[EOT]",
};

void read_pieces(const format::Metadata& metadata, Vocabulary& vocabulary) {
  const auto* tokens = metadata.array("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->size() == 0)
    throw Error(Fault::corrupt_file, "tokenizer.ggml.tokens is missing or empty");
  if (tokens->strings.empty())
    throw Error(Fault::corrupt_file, "tokenizer.ggml.tokens is not an array of texts");
  if (tokens->size() > static_cast<std::size_t>(std::numeric_limits<Token>::max()))
    throw Error(Fault::corrupt_file,
                "tokenizer.ggml.tokens has more entries than tokens can number");
  std::size_t bytes = 0;
  for (const std::string_view piece : tokens->strings) bytes += piece.size();
  if (bytes > PieceTable::kMaximumBytes)
    throw Error(Fault::unsupported,
                fmt::format("tokenizer.ggml.tokens holds {} bytes of text: too many", bytes));
  vocabulary.pieces = PieceTable(tokens->strings);
  if (vocabulary.pieces.duplicates() > 0)
    vocabulary.warnings.push_back(fmt::format(
        "{} entries of tokenizer.ggml.tokens repeat an earlier one and are never produced",
        vocabulary.pieces.duplicates()));
}

// Without token types the usual spellings tell what is special.
TokenKind usual_kind(std::string_view piece) {
  if (piece == "<unk>") return TokenKind::unknown;
  if (piece == "<s>" || piece == "</s>") return TokenKind::control;
  return byte_of_piece(piece) ? TokenKind::byte : TokenKind::normal;
}

void read_kinds(const format::Metadata& metadata, bool sentence_piece, Vocabulary& vocabulary) {
  const std::size_t count = vocabulary.pieces.size();
  const auto* types = metadata.array("tokenizer.ggml.token_type");
  vocabulary.kinds.assign(count, TokenKind::normal);
  if (types == nullptr) {
    vocabulary.warnings.push_back(
        "tokenizer.ggml.token_type is missing: special tokens are known by their spelling only");
    for (std::size_t i = 0; sentence_piece && i < count; ++i)
      vocabulary.kinds[i] = usual_kind(vocabulary.pieces[i]);
    return;
  }
  if (types->integers.size() < count)
    throw Error(Fault::corrupt_file,
                fmt::format("tokenizer.ggml.token_type has {} integers for {} tokens",
                            types->integers.size(), count));
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t type = types->integers[i];
    if (type < 0 || type > 6)
      throw Error(Fault::corrupt_file,
                  fmt::format("tokenizer.ggml.token_type of token {} is {}, not 1 to 6", i, type));
    if (type > 0) vocabulary.kinds[i] = static_cast<TokenKind>(type);
  }
}

// The id that `key` names, or `usual` where the key is missing and that token is a special one.
std::optional<Token> read_id(const format::Metadata& metadata, const char* key,
                             std::optional<Token> usual, Vocabulary& vocabulary) {
  if (const auto id = metadata.integer(key)) {
    if (*id < vocabulary.kinds.size()) return static_cast<Token>(*id);
    vocabulary.warnings.push_back(fmt::format("{} is {}, but the vocabulary has {} tokens: ignored",
                                              key, *id, vocabulary.kinds.size()));
    return std::nullopt;
  }
  if (!usual || !vocabulary.holds(*usual)) return std::nullopt;
  const TokenKind kind = vocabulary.kind(*usual);
  if (kind != TokenKind::control && kind != TokenKind::unknown) return std::nullopt;
  vocabulary.warnings.push_back(fmt::format("{} is missing: {} is assumed", key, *usual));
  return usual;
}

// The tokens of a list of malina's own.
std::vector<Token> read_ids(const format::Metadata& metadata, const char* key,
                            const Vocabulary& vocabulary) {
  std::vector<Token> tokens;
  const auto* ids = metadata.array(key);
  if (ids == nullptr) return tokens;
  for (const std::int64_t id : ids->integers) {
    if (id < 0 || static_cast<std::uint64_t>(id) >= vocabulary.kinds.size())
      throw Error(Fault::corrupt_file, fmt::format("{} has {}, which is no token", key, id));
    tokens.push_back(static_cast<Token>(id));
  }
  return tokens;
}

bool framed(std::string_view piece, std::string_view open, std::string_view close) {
  return piece.size() > open.size() + close.size() && piece.substr(0, open.size()) == open &&
         piece.substr(piece.size() - close.size()) == close;
}
bool looks_like_markup(std::string_view piece) {
  return framed(piece, "<|", "|>") || framed(piece, "<｜", "｜>");
}
bool looks_special(std::string_view piece) {
  return framed(piece, "<", ">") || framed(piece, "[", "]");
}

// Files made before converters knew better call chat markup user-defined, or even normal. Such text
// must not be read from what users write, so it is a control token here.
class KindCorrection {
 public:
  explicit KindCorrection(Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void to_control(Token token) {
    TokenKind& kind = vocabulary_.kinds[static_cast<std::size_t>(token)];
    if (kind == TokenKind::control || kind == TokenKind::unknown) return;
    // A piece of ordinary text, say the line break, may end a text; it is still needed as a piece.
    // So is a byte, though its spelling, <0x0A>, looks like a special token's.
    if (kind == TokenKind::byte) return;
    if (kind != TokenKind::user_defined && !looks_special(vocabulary_.piece(token))) return;
    kind = TokenKind::control;
    if (count_++ == 0) first_ = token;
  }

  void report() const {
    if (count_ > 0)
      vocabulary_.warnings.push_back(
          fmt::format("{} tokens that mark the structure of a chat are not control tokens in the "
                      "file (the first is {}): treated as such",
                      count_, first_));
  }

 private:
  Vocabulary& vocabulary_;
  std::size_t count_ = 0;
  Token first_ = 0;
};

void read_end_tokens(const format::Metadata& metadata, Vocabulary& vocabulary) {
  std::vector<Token>& ends = vocabulary.end_tokens;
  if (vocabulary.eos) ends.push_back(*vocabulary.eos);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto id = read_id(metadata, key, std::nullopt, vocabulary)) ends.push_back(*id);
  for (const Token token : read_ids(metadata, "malina.tokenizer.end_token_ids", vocabulary))
    ends.push_back(token);
  const auto find = [&](std::string_view piece) { return vocabulary.pieces.find(piece); };
  // Where a vocabulary has both of these, <|end|> only ends one of several messages of an answer.
  const bool channels = find("<|return|>") >= 0 && find("<|call|>") >= 0;
  for (const std::string_view piece : kEndPieces)
    if (const Token token = find(piece); token >= 0 && !(channels && piece == "<|end|>"))
      ends.push_back(token);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

void correct_kinds(Vocabulary& vocabulary) {
  KindCorrection correction(vocabulary);
  for (const Token token : vocabulary.end_tokens) correction.to_control(token);
  if (vocabulary.bos) correction.to_control(*vocabulary.bos);
  for (std::size_t i = 0; i < vocabulary.kinds.size(); ++i)
    if (vocabulary.kinds[i] == TokenKind::user_defined && looks_like_markup(vocabulary.pieces[i]))
      correction.to_control(static_cast<Token>(i));
  correction.report();
}

// What tokenizer.json says and GGUF has no key for (docs/reference/tokenizers.md).
void read_own_keys(const format::Metadata& metadata, Vocabulary& vocabulary) {
  static constexpr std::pair<const char*, AddedTokenFlag> kFlags[] = {
      {"malina.tokenizer.strip_left", kStripLeft},
      {"malina.tokenizer.strip_right", kStripRight},
      {"malina.tokenizer.normalized", kNormalized}};
  for (const auto& [key, flag] : kFlags)
    for (const Token token : read_ids(metadata, key, vocabulary)) {
      vocabulary.added.resize(vocabulary.kinds.size());
      vocabulary.added[static_cast<std::size_t>(token)] |= flag;
    }
  static constexpr std::pair<std::string_view, SpacePrefix> kPrefixes[] = {
      {"segment", SpacePrefix::segment},
      {"segment-unless-space", SpacePrefix::segment_unless_space},
      {"text", SpacePrefix::text},
      {"text-unless-space", SpacePrefix::text_unless_space}};
  if (const auto prefix = metadata.text("malina.tokenizer.space_prefix")) {
    const auto found = std::find_if(std::begin(kPrefixes), std::end(kPrefixes),
                                    [&](const auto& each) { return each.first == *prefix; });
    if (found == std::end(kPrefixes))
      throw Error(Fault::unsupported, fmt::format("malina.tokenizer.space_prefix is {}, which this "
                                                  "program does not know",
                                                  format::in_quotes(*prefix)));
    vocabulary.prefix = found->second;
  }
  if (const auto* warnings = metadata.array("malina.tokenizer.warnings"))
    for (const std::string_view warning : warnings->strings) {
      std::string& text = vocabulary.warnings.emplace_back(warning.substr(0, 1000));
      std::replace_if(text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    }
}

bool contains_any_case(std::string_view text, std::string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         }) != text.end();
}

}  // namespace

std::optional<unsigned char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : piece.substr(3, 2)) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9')
      digit = static_cast<unsigned>(c - '0');
    else if (c >= 'A' && c <= 'F')
      digit = static_cast<unsigned>(c - 'A' + 10);
    else if (c >= 'a' && c <= 'f')
      digit = static_cast<unsigned>(c - 'a' + 10);
    else
      return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<unsigned char>(value);
}

Vocabulary read_vocabulary(const format::Metadata& metadata, bool sentence_piece) {
  Vocabulary vocabulary;
  read_pieces(metadata, vocabulary);
  read_kinds(metadata, sentence_piece, vocabulary);
  // llama.cpp takes 11 for byte-level vocabularies (Falcon's), but only as a control token: in
  // GPT-2's it is the comma.
  const auto usual = [&](Token token) { return std::optional<Token>(sentence_piece ? token : 11); };
  vocabulary.bos = read_id(metadata, "tokenizer.ggml.bos_token_id", usual(1), vocabulary);
  vocabulary.eos = read_id(metadata, "tokenizer.ggml.eos_token_id", usual(2), vocabulary);
  vocabulary.unknown = read_id(metadata, "tokenizer.ggml.unknown_token_id",
                               sentence_piece ? std::optional<Token>(0) : std::nullopt, vocabulary);
  read_own_keys(metadata, vocabulary);
  read_end_tokens(metadata, vocabulary);
  correct_kinds(vocabulary);
  // Some files call their end of text the unknown token: what a user writes must not end the text.
  if (vocabulary.unknown && vocabulary.kind(*vocabulary.unknown) == TokenKind::control)
    vocabulary.unknown.reset();
  vocabulary.add_bos = metadata.boolean("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = metadata.boolean("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = metadata.boolean("tokenizer.ggml.add_space_prefix");
  // Phi-3's special tokens take the white space behind them; the file format has no field for it,
  // so the name has to tell, as it does in llama.cpp.
  const bool says = metadata.contains("malina.tokenizer.strip_right");
  if (const auto name = metadata.text("general.name"); name && !says)
    vocabulary.strips_after_special =
        contains_any_case(*name, "phi-3") || contains_any_case(*name, "phi3");
  return vocabulary;
}

}  // namespace malina::text
