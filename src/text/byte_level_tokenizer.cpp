// Byte-level BPE: text to pieces by the rule of its family, pieces to tokens by rank of merges.
// Formula: GPT-2's encoder (models.md section 3.2).
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "format/quote.h"
#include "text/merge.h"
#include "text/pre_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary_tokenizer.h"
#include "text/word_cache.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;

// The alphabet in which vocabularies spell bytes: printable ones stand for themselves, the other 68
// for U+0100 and up.
struct Alphabet {
  std::array<std::string, 256> letters;     // of a byte, UTF-8
  std::array<std::int16_t, 0x144> bytes{};  // of a code point, -1 where it is no letter

  Alphabet() {
    bytes.fill(-1);
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const std::uint32_t code = printable ? byte : next++;
      bytes[code] = static_cast<std::int16_t>(byte);
      std::string& letter = letters[byte];
      if (code < 0x80) {
        letter = static_cast<char>(code);
      } else {
        letter += static_cast<char>(0xC0 | code >> 6);
        letter += static_cast<char>(0x80 | (code & 0x3F));
      }
    }
  }

  // Appends the bytes that `spelling` stands for. False, with nothing appended, where it has a
  // character that is no letter.
  bool decode(std::string_view spelling, std::string& output) const {
    const std::size_t before = output.size();
    for (std::size_t i = 0; i < spelling.size();) {
      const auto first = static_cast<unsigned char>(spelling[i]);
      const bool wide =
          first >= 0xC0 && first < 0xE0 && valid_character(spelling.substr(i, 2)) == 2;
      std::size_t code = first;
      if (wide)
        code = static_cast<std::size_t>(first & 0x1F) << 6 |
               (static_cast<unsigned char>(spelling[i + 1]) & 0x3F);
      const bool letter = (wide || first < 0x80) && code < bytes.size() && bytes[code] >= 0;
      if (!letter) {
        output.resize(before);
        return false;
      }
      output += static_cast<char>(bytes[code]);
      i += wide ? 2 : 1;
    }
    return true;
  }
};

const Alphabet& alphabet() {
  static const Alphabet one;
  return one;
}

// Whether the bytes that `piece` stands for are others than those it is written with.
bool reads_otherwise(std::string_view piece) {
  std::string bytes;
  return alphabet().decode(piece, bytes) && bytes != piece;
}

bool in_utf8(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return value < 0xC0 || (value > 0xC1 && value < 0xF5);
}

bool is_special(TokenKind kind) { return kind == TokenKind::control || kind == TokenKind::unknown; }

// Special tokens are matched before and never take part in merges.
bool takes_part(const Vocabulary& vocabulary, Token token) {
  return token >= 0 && !is_special(vocabulary.kind(token));
}

class ByteLevelTokenizer final : public VocabularyTokenizer {
 public:
  ByteLevelTokenizer(Vocabulary vocabulary, const format::Metadata& metadata, std::string pre,
                     const PreTokenizer& rule)
      : VocabularyTokenizer(std::move(vocabulary),
                            {.add_bos = rule.add_bos, .add_eos = false, .add_space_prefix = false},
                            false),
        pre_(std::move(pre)),
        rule_(rule),
        merges_(merge_count(metadata)) {
    read_bytes();
    read_merges(metadata);
  }

  std::string_view pre_tokenizer() const override { return pre_; }

 protected:
  std::unique_ptr<Session> start(std::size_t text_bytes) const override {
    return std::make_unique<PieceSession>(*this, text_bytes);
  }

  void append_bytes(Token token, std::string& output) const override {
    const auto index = static_cast<std::size_t>(token);
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    output.append(texts_, begin, ends_[index] - begin);
  }

 private:
  class PieceSession final : public Session {
   public:
    PieceSession(const ByteLevelTokenizer& tokenizer, std::size_t text_bytes)
        : tokenizer_(tokenizer), cache_(text_bytes) {}

    void append(std::string_view text, bool, std::vector<Token>& output) override {
      if (tokenizer_.rule_.composed && normalize_composed(text, composed_)) text = composed_;
      tokenizer_.rule_.split(text, [&](std::string_view piece) {
        cache_.encode(piece, output, [&](std::string_view word, std::vector<Token>& tokens) {
          tokenizer_.encode_piece(word, buffers_, tokens);
        });
      });
    }

   private:
    const ByteLevelTokenizer& tokenizer_;
    WordCache cache_;
    MergeBuffers buffers_;
    std::string composed_;
  };

  static std::size_t merge_count(const format::Metadata& metadata) {
    const auto* merges = metadata.array("tokenizer.ggml.merges");
    if (merges == nullptr)
      throw Error(Fault::corrupt_file,
                  "tokenizer.ggml.merges is missing: a byte-level vocabulary needs its merges");
    if (merges->strings.size() != merges->size())
      throw Error(Fault::corrupt_file, "tokenizer.ggml.merges is not an array of texts");
    return merges->strings.size();
  }

  bool takes_part(Token token) const { return text::takes_part(vocabulary(), token); }

  // Whether a token is found in texts as it is written, which is not what its letters stand for.
  bool verbatim(Token token) const {
    return vocabulary().kind(token) == TokenKind::user_defined &&
           reads_otherwise(vocabulary().piece(token));
  }

  void read_bytes() {
    const Vocabulary& words = vocabulary();
    ends_.reserve(words.kinds.size());
    texts_.reserve(words.pieces.bytes());  // bytes are never more than their spelling
    for (std::size_t i = 0; i < words.kinds.size(); ++i) {
      const std::string_view piece = words.pieces[i];
      const TokenKind kind = words.kinds[i];
      const bool as_written = is_special(kind) || kind == TokenKind::user_defined;
      if (as_written || !alphabet_.decode(piece, texts_)) texts_ += piece;
      ends_.push_back(static_cast<std::uint32_t>(texts_.size()));
    }
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const Token token = words.pieces.find(alphabet_.letters[byte]);
      bytes_[byte] = takes_part(token) ? token : -1;
    }
    const auto missing = std::count(bytes_.begin(), bytes_.end(), -1);
    if (missing > 0)
      warn(fmt::format("the vocabulary has no token for {} of 256 bytes: text that needs them {}",
                       missing, words.unknown ? "becomes the unknown token" : "is dropped"));
  }

  void read_merges(const format::Metadata& metadata) {
    const auto& lines = metadata.array("tokenizer.ggml.merges")->strings;
    constexpr std::size_t kAtOnce = 256;
    std::vector<std::string_view> parts;  // left, right, left, right, ...
    std::vector<Token> tokens(2 * kAtOnce);
    MergeReader reader{.useless = 0, .guess = 0, .joined = {}};
    for (std::size_t first = 0; first < lines.size(); first += kAtOnce) {
      parts.clear();
      for (std::size_t rank = first; rank < std::min(first + kAtOnce, lines.size()); ++rank)
        split_merge(lines[rank], rank, parts);
      vocabulary().pieces.find(parts, tokens);
      for (std::size_t i = 0; i < parts.size(); i += 2)
        add_merge(parts[i], parts[i + 1], {tokens[i], tokens[i + 1]}, first + i / 2, reader);
    }
    if (reader.useless > 0)
      warn(fmt::format("{} of {} merges name pieces that the vocabulary does not hold: ignored",
                       reader.useless, lines.size()));
  }

  static void split_merge(std::string_view line, std::size_t rank,
                          std::vector<std::string_view>& parts) {
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size())
      throw Error(Fault::corrupt_file,
                  fmt::format("tokenizer.ggml.merges: entry {} is not two pieces with a space "
                              "between them",
                              rank));
    parts.push_back(line.substr(0, space));
    parts.push_back(line.substr(space + 1));
  }

  struct MergeReader {
    std::size_t useless;
    Token guess;  // vocabularies list the results of merges in the order of the merges
    std::string joined;
  };
  void add_merge(std::string_view left, std::string_view right, std::pair<Token, Token> tokens,
                 std::size_t rank, MergeReader& reader) {
    reader.joined.assign(left).append(right);
    Token& result = reader.guess;
    if (!vocabulary().holds(result) || vocabulary().piece(result) != reader.joined)
      result = vocabulary().pieces.find(reader.joined);
    if (takes_part(tokens.first) && takes_part(tokens.second) && takes_part(result))
      merges_.insert(static_cast<std::uint32_t>(tokens.first),
                     static_cast<std::uint32_t>(tokens.second),
                     {static_cast<std::uint32_t>(rank), result});
    else
      ++reader.useless;
    ++result;
  }

  void encode_piece(std::string_view piece, MergeBuffers& buffers,
                    std::vector<Token>& output) const {
    if (rule_.ignore_merges) {
      std::string spelling;
      for (const char c : piece) spelling += alphabet_.letters[static_cast<unsigned char>(c)];
      const Token whole = vocabulary().pieces.find(spelling);
      if (takes_part(whole) && !verbatim(whole)) {
        output.push_back(whole);
        return;
      }
    }
    buffers.symbols.clear();
    for (std::size_t i = 0; i < piece.size(); ++i)
      buffers.add(bytes_[static_cast<unsigned char>(piece[i])], i);
    const auto& symbols = buffers.symbols;
    merge_all(buffers, [&](std::uint32_t left, std::uint32_t right) -> Merge {
      if (symbols[left].token < 0 || symbols[right].token < 0) return {};
      const Merge* merge = merges_.find(static_cast<std::uint32_t>(symbols[left].token),
                                        static_cast<std::uint32_t>(symbols[right].token));
      return merge == nullptr ? Merge{} : *merge;
    });
    for (std::uint32_t i = 0; i != kNoSymbol; i = symbols[i].next) {
      if (symbols[i].token >= 0)
        output.push_back(symbols[i].token);
      else if (vocabulary().unknown)
        output.push_back(*vocabulary().unknown);
    }
  }

  const Alphabet& alphabet_ = alphabet();
  const std::string pre_;
  const PreTokenizer rule_;
  PairTable<Merge> merges_;
  std::array<Token, 256> bytes_{};  // -1: the vocabulary has none
  std::string texts_;               // the bytes of every token, one after the other
  std::vector<std::uint32_t> ends_;
};

// A user-defined token whose letters stand for other bytes than those it is written with is found
// in texts as it is written. Where merges make it as well, or it is all that stands for a byte of
// texts, that would be two things of which it could decode to one. It stands for the bytes, to
// which Hugging Face's tokenizers decode it too, and is not looked for as written, as they do: so
// every text comes back, and only one that spells such letters has other tokens. Bytes that no
// UTF-8 has are no such case: their letters are what texts have (DeepSeek Coder adds "ö").
void prefer_bytes(Vocabulary& vocabulary, const format::Metadata& metadata) {
  std::unordered_map<std::string_view, std::size_t> written;
  std::string bytes;
  for (std::size_t i = 0; i < vocabulary.kinds.size(); ++i) {
    const std::string_view piece = vocabulary.pieces[i];
    if (vocabulary.kinds[i] != TokenKind::user_defined || !reads_otherwise(piece) ||
        vocabulary.pieces.find(piece) != static_cast<Token>(i))
      continue;
    bytes.clear();
    alphabet().decode(piece, bytes);
    if (bytes.size() == 1 && in_utf8(bytes[0]))
      vocabulary.kinds[i] = TokenKind::normal;
    else
      written.emplace(piece, i);
  }
  const auto* merges = metadata.array("tokenizer.ggml.merges");
  if (written.empty() || merges == nullptr) return;
  const auto part = [&](std::string_view piece) {
    return takes_part(vocabulary, vocabulary.pieces.find(piece));
  };
  std::string joined;
  for (const std::string_view merge : merges->strings) {
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) continue;
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    joined.assign(left).append(right);
    const auto found = written.find(joined);
    if (found != written.end() && part(left) && part(right))
      vocabulary.kinds[found->second] = TokenKind::normal;
  }
}

}  // namespace

std::shared_ptr<const Tokenizer> make_byte_level(const format::Metadata& metadata) {
  const auto named = metadata.text("tokenizer.ggml.pre");
  const std::string pre(named && !named->empty() ? *named : "default");
  const PreTokenizer* rule = PreTokenizer::find(pre);
  if (rule == nullptr)
    throw Error(Fault::unsupported,
                fmt::format("tokenizer.ggml.pre {} is not a pre-tokeniser that this program knows",
                            format::in_quotes(pre)));
  PreTokenizer used = *rule;
  used.ignore_merges =
      metadata.boolean("malina.tokenizer.ignore_merges").value_or(rule->ignore_merges);
  used.composed = metadata.boolean("malina.tokenizer.composed").value_or(rule->composed);
  Vocabulary vocabulary = read_vocabulary(metadata, false);
  vocabulary.model = "gpt2";
  vocabulary.add_space_prefix = false;  // no byte-level file means it
  prefer_bytes(vocabulary, metadata);
  if (pre == "default")
    vocabulary.warnings.push_back(
        "the file names no pre-tokeniser (tokenizer.ggml.pre): the default may split text "
        "otherwise "
        "than the model has learned it");
  return std::make_shared<ByteLevelTokenizer>(std::move(vocabulary), metadata, pre, used);
}

}  // namespace malina::text
