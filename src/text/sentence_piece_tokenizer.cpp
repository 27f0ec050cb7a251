// SentencePiece BPE: merges by score over the whole text, with bytes for what no piece covers.
// Where the vocabulary came from a tokenizer.json, merges by rank instead. Formula: SentencePiece
// src/bpe_model.cc (models.md section 3.1).
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "text/merge.h"
#include "text/merge_pieces.h"
#include "text/unicode.h"
#include "text/vocabulary_tokenizer.h"
#include "text/word_cache.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;

constexpr std::string_view kSpaceMark = "▁";

// The place in the order of merging: high scores first. Not a number comes last.
std::uint32_t order_of(float score) {
  if (std::isnan(score)) return kNoMerge - 1;
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // + 0: both zeros are one
  const std::uint32_t ascending = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  return std::min(~ascending, kNoMerge - 1);
}

std::size_t character_bytes(std::string_view text) {
  return std::max<std::size_t>(1, valid_character(text));
}

class SentencePieceTokenizer final : public VocabularyTokenizer {
 public:
  SentencePieceTokenizer(Vocabulary vocabulary, const format::Metadata& metadata)
      : VocabularyTokenizer(std::move(vocabulary),
                            {.add_bos = true, .add_eos = false, .add_space_prefix = true}, true) {
    if (const auto* merges = metadata.array("malina.tokenizer.merges"))
      read_merges(*merges);
    else
      read_orders(metadata);
    read_bytes();
    find_joins();
    if (merges_ == nullptr) find_divisible();
  }

  std::string_view pre_tokenizer() const override { return {}; }

 protected:
  std::unique_ptr<Session> start(std::size_t text_bytes) const override {
    return std::make_unique<SentenceSession>(*this, text_bytes);
  }

  void append_bytes(Token token, std::string& output) const override {
    const std::string_view piece = vocabulary().piece(token);
    if (kind(token) == TokenKind::byte) {
      output += static_cast<char>(byte_of_piece(piece).value_or(0));
      return;
    }
    std::size_t begin = 0;
    for (std::size_t mark; (mark = piece.find(kSpaceMark, begin)) != std::string_view::npos;
         begin = mark + kSpaceMark.size()) {
      output += piece.substr(begin, mark - begin);
      output += ' ';
    }
    output += piece.substr(begin);
  }

 private:
  class SentenceSession final : public Session {
   public:
    SentenceSession(const SentencePieceTokenizer& tokenizer, std::size_t text_bytes)
        : tokenizer_(tokenizer), cache_(text_bytes) {}

    // Writes the text with "▁" for spaces, word by word.
    void append(std::string_view text, bool first, std::vector<Token>& output) override {
      word_.clear();
      if (first && tokenizer_.puts_space_before(text)) word_ = kSpaceMark;
      for (std::size_t begin = 0;;) {
        const std::size_t space = text.find(' ', begin);
        word_ += text.substr(begin, space - begin);
        if (space == std::string_view::npos) break;
        if (tokenizer_.may_cut_after(word_)) flush(output);
        word_ += kSpaceMark;
        begin = space + 1;
      }
      flush(output);
    }

   private:
    void flush(std::vector<Token>& output) {
      if (word_.empty()) return;
      cache_.encode(word_, output, [&](std::string_view word, std::vector<Token>& tokens) {
        tokenizer_.encode_word(word, buffers_, tokens);
      });
      word_.clear();
    }

    const SentencePieceTokenizer& tokenizer_;
    WordCache cache_;
    MergeBuffers buffers_;
    std::string word_;
  };

  // How an unused piece came about: the length of its left part.
  using Divisions = std::unordered_map<std::string, std::size_t>;

  bool takes_part(Token token) const {
    return token >= 0 && orders_[static_cast<std::size_t>(token)] != kNoMerge;
  }
  Token find_mergeable(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const Token token = vocabulary().pieces.find(text);
    return takes_part(token) ? token : -1;
  }

  bool puts_space_before(std::string_view text) const {
    if (!adds_space_prefix()) return false;
    const SpacePrefix prefix = vocabulary().prefix;
    if (prefix == SpacePrefix::segment || prefix == SpacePrefix::text) return true;
    return !text.starts_with(' ') && !text.starts_with(kSpaceMark);
  }

  // Merges by rank, as tokenizer.json has them, instead of by score.
  void read_merges(const format::MetadataArray& lines) {
    if (lines.strings.size() != lines.size())
      throw Error(Fault::corrupt_file, "malina.tokenizer.merges is not an array of texts");
    read_participants();
    merges_ = std::make_unique<PairTable<Merge>>(lines.strings.size());
    std::size_t useless = 0;
    find_merge_pieces(
        vocabulary().pieces, lines.strings.size(),
        [&](std::size_t rank) { return split_merge(lines.strings[rank], rank); },
        [&](std::size_t rank, const MergePieces& tokens) {
          if (takes_part(tokens.left) && takes_part(tokens.right) && takes_part(tokens.result))
            merges_->insert(static_cast<std::uint32_t>(tokens.left),
                            static_cast<std::uint32_t>(tokens.right),
                            {static_cast<std::uint32_t>(rank), tokens.result});
          else
            ++useless;
        });
    if (useless > 0)
      warn(fmt::format("{} of {} merges name pieces that the vocabulary does not hold: ignored",
                       useless, lines.strings.size()));
  }

  static std::pair<std::string_view, std::string_view> split_merge(std::string_view line,
                                                                   std::size_t rank) {
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size())
      throw Error(Fault::corrupt_file,
                  fmt::format("malina.tokenizer.merges: entry {} is not two pieces with a space "
                              "between them",
                              rank));
    return {line.substr(0, space), line.substr(space + 1)};
  }

  void read_participants() {
    orders_.assign(vocabulary_size(), kNoMerge);
    for (std::size_t i = 0; i < orders_.size(); ++i) {
      const TokenKind kind = vocabulary().kinds[i];
      if (kind != TokenKind::normal && kind != TokenKind::user_defined && kind != TokenKind::unused)
        continue;
      orders_[i] = 0;
      longest_ = std::max(longest_, vocabulary().pieces[i].size());
    }
  }

  void read_orders(const format::Metadata& metadata) {
    const auto* scores = metadata.array("tokenizer.ggml.scores");
    if (scores == nullptr)
      throw Error(Fault::corrupt_file,
                  "tokenizer.ggml.scores is missing: a SentencePiece vocabulary needs its scores");
    const std::size_t count = vocabulary_size();
    if (scores->numbers.size() < count && scores->integers.size() < count)
      throw Error(
          Fault::corrupt_file,
          fmt::format("tokenizer.ggml.scores has {} numbers for {} tokens", scores->size(), count));
    read_participants();
    for (std::size_t i = 0; i < count; ++i)
      if (orders_[i] != kNoMerge)
        orders_[i] = order_of(scores->numbers.empty() ? static_cast<float>(scores->integers[i])
                                                      : scores->numbers[i]);
  }

  void read_bytes() {
    bytes_.fill(-1);
    for (std::size_t i = 0; i < vocabulary_size(); ++i) {
      if (vocabulary().kinds[i] != TokenKind::byte) continue;
      const auto byte = byte_of_piece(vocabulary().pieces[i]);
      if (!byte)
        throw Error(
            Fault::corrupt_file,
            fmt::format("token {} is of type byte, but its text is not of the form <0x41>", i));
      if (bytes_[*byte] < 0) bytes_[*byte] = static_cast<Token>(i);
    }
    const auto missing = std::count(bytes_.begin(), bytes_.end(), -1);
    if (missing > 0)
      warn(fmt::format("the vocabulary has no token for {} of 256 bytes: text that needs them {}",
                       missing, vocabulary().unknown ? "becomes the unknown token" : "is dropped"));
  }

  // No merge goes across a space unless some piece has that space inside. Words are independent
  // then, and can be remembered one by one.
  void find_joins() {
    for (std::size_t i = 0; i < vocabulary_size(); ++i) {
      if (orders_[i] == kNoMerge) continue;
      const std::string_view piece = vocabulary().pieces[i];
      for (std::size_t mark = piece.find(kSpaceMark, 1); mark != std::string_view::npos;
           mark = piece.find(kSpaceMark, mark + 1))
        joins_[static_cast<unsigned char>(piece[mark - 1])] = true;
    }
  }

  // An unused piece that merges can reach is taken apart again, as the last merge of its text
  // anywhere in the sentence says: then words are not independent.
  void find_divisible() {
    for (std::size_t i = 0; i < vocabulary_size() && !divides_; ++i) {
      if (vocabulary().kinds[i] != TokenKind::unused) continue;
      const std::string_view piece = vocabulary().pieces[i];
      const auto symbol = [&](std::string_view part) {
        return character_bytes(part) == part.size() || find_mergeable(part) >= 0;
      };
      for (std::size_t cut = character_bytes(piece); cut < piece.size() && !divides_;
           cut += character_bytes(piece.substr(cut)))
        divides_ = symbol(piece.substr(0, cut)) && symbol(piece.substr(cut));
    }
  }

  bool may_cut_after(std::string_view word) const {
    return !divides_ && !word.empty() && !joins_[static_cast<unsigned char>(word.back())];
  }

  void encode_word(std::string_view word, MergeBuffers& buffers, std::vector<Token>& output) const {
    if (!divides_) {
      merge_word(word, buffers, nullptr);
      for_each_symbol(word, buffers,
                      [&](Token token, std::string_view text) { emit(token, text, output); });
      return;
    }
    Divisions divisions;
    merge_word(word, buffers, &divisions);
    for_each_symbol(word, buffers,
                    [&](Token, std::string_view text) { divide(text, divisions, output); });
  }

  void merge_word(std::string_view word, MergeBuffers& buffers, Divisions* divisions) const {
    buffers.symbols.clear();
    for (std::size_t begin = 0; begin < word.size();) {
      const std::size_t length = character_bytes(word.substr(begin, 4));
      buffers.add(find_mergeable(word.substr(begin, length)), begin);
      begin += length;
    }
    merge_all(buffers, [&](std::uint32_t left, std::uint32_t right) -> Merge {
      const auto& symbols = buffers.symbols;
      if (merges_ != nullptr) return merge_of(symbols[left].token, symbols[right].token);
      const std::uint32_t after = symbols[right].next;
      const std::size_t begin = symbols[left].begin;
      const std::size_t end = after == kNoSymbol ? word.size() : symbols[after].begin;
      const Token token = find_mergeable(word.substr(begin, end - begin));
      if (token < 0) return {};
      if (divisions != nullptr && vocabulary().kind(token) == TokenKind::unused)
        (*divisions)[std::string(word.substr(begin, end - begin))] = symbols[right].begin - begin;
      return {orders_[static_cast<std::size_t>(token)], token};
    });
  }

  Merge merge_of(Token left, Token right) const {
    if (left < 0 || right < 0) return {};
    const Merge* merge =
        merges_->find(static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(right));
    return merge == nullptr ? Merge{} : *merge;
  }

  template <typename Visit>
  static void for_each_symbol(std::string_view word, const MergeBuffers& buffers,
                              const Visit& visit) {
    for (std::uint32_t i = 0; i != kNoSymbol; i = buffers.symbols[i].next) {
      const Symbol& symbol = buffers.symbols[i];
      const std::size_t end =
          symbol.next == kNoSymbol ? word.size() : buffers.symbols[symbol.next].begin;
      visit(symbol.token, word.substr(symbol.begin, end - symbol.begin));
    }
  }

  void emit(Token token, std::string_view text, std::vector<Token>& output) const {
    if (token >= 0) {
      output.push_back(token);
      return;
    }
    for (const char c : text) {
      const Token byte = bytes_[static_cast<unsigned char>(c)];
      if (byte >= 0)
        output.push_back(byte);
      else if (vocabulary().unknown && (output.empty() || output.back() != *vocabulary().unknown))
        output.push_back(*vocabulary().unknown);  // one for a whole run, as SentencePiece does
    }
  }

  void divide(std::string_view text, const Divisions& divisions, std::vector<Token>& output) const {
    const Token token = find_mergeable(text);
    if (token >= 0 && vocabulary().kind(token) == TokenKind::unused) {
      if (const auto found = divisions.find(std::string(text)); found != divisions.end()) {
        divide(text.substr(0, found->second), divisions, output);
        divide(text.substr(found->second), divisions, output);
        return;
      }
    }
    emit(token, text, output);
  }

  std::vector<std::uint32_t> orders_;         // of a token, kNoMerge where it takes no part
  std::unique_ptr<PairTable<Merge>> merges_;  // null where scores decide
  std::array<Token, 256> bytes_{};            // -1: the vocabulary has none
  std::array<bool, 256> joins_{};  // last bytes of what stands before a "▁" inside a piece
  std::size_t longest_ = 0;        // bytes of the longest piece that takes part
  bool divides_ = false;
};

}  // namespace

std::shared_ptr<const Tokenizer> make_sentence_piece(const format::Metadata& metadata) {
  Vocabulary vocabulary = read_vocabulary(metadata, true);
  vocabulary.model = "llama";
  vocabulary.by_rank = metadata.contains("malina.tokenizer.merges");
  return std::make_shared<SentencePieceTokenizer>(std::move(vocabulary), metadata);
}

}  // namespace malina::text
