#include "text/hugging_face_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "format/quote.h"
#include "text/merge_pieces.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;

constexpr std::string_view kMark = "▁";
constexpr float kAddedScore = -1000, kPaddingScore = -10000;  // as llama.cpp's converter has them

std::uint8_t flags_of(const AddedToken& token, bool normalizes) {
  std::uint8_t flags = 0;
  if (token.strip_left) flags |= kStripLeft;
  if (token.strip_right) flags |= kStripRight;
  if (token.normalized && normalizes) flags |= kNormalized;
  return flags;
}

// Of merges that repeat the last one counts. A piece with a space in it never meets a text, which
// has none by then. Gives the results of those that are kept.
std::vector<Token> keep_usable(std::vector<TokenizerJson::Merge>& merges,
                               const std::vector<MergePieces>& pieces) {
  PairTable<bool> seen(merges.size());
  std::vector<Token> results;  // from the last to the first
  results.reserve(merges.size());
  for (std::size_t i = merges.size(); i-- > 0;) {
    TokenizerJson::Merge& merge = merges[i];
    const auto left = static_cast<std::uint32_t>(pieces[i].left);
    const auto right = static_cast<std::uint32_t>(pieces[i].right);
    const bool spaced = merge.text.find(' ') != merge.left ||
                        merge.text.find(' ', merge.left + 1) != std::string::npos;
    if (spaced || seen.find(left, right) != nullptr) {
      merge.text.clear();
      continue;
    }
    seen.insert(left, right, true);
    results.push_back(pieces[i].result);
  }
  if (results.size() < merges.size())
    std::erase_if(merges, [](const TokenizerJson::Merge& merge) { return merge.text.empty(); });
  std::reverse(results.begin(), results.end());
  return results;
}

}  // namespace

HuggingFaceVocabulary::Entry& HuggingFaceVocabulary::at(std::uint64_t id) {
  if (id >= entries_.size()) entries_.resize(id + 1);
  return entries_[id];
}

void HuggingFaceVocabulary::place(std::string text, std::uint64_t id, const std::string& file) {
  if (text.empty())
    throw Error(Fault::corrupt_file, fmt::format("{}: token {} has no text", file, id));
  Entry& entry = at(id);
  if (!entry.text.empty())
    throw Error(Fault::corrupt_file, fmt::format("{}: the id {} is given to {} and to {}", file, id,
                                                 in_quotes(entry.text), in_quotes(text)));
  entry = {.text = std::move(text), .kind = TokenKind::normal};
}

void HuggingFaceVocabulary::take(TokenizerJson& tokenizer, const TokenizerRules& rules,
                                 const std::string& file) {
  std::uint64_t count = 0;
  for (const auto& token : tokenizer.vocabulary) count = std::max(count, token.id + 1);
  entries_.resize(count);
  std::size_t bytes = 0;
  for (auto& token : tokenizer.vocabulary) {
    place(std::move(token.text), token.id, file);
    Entry& entry = entries_[token.id];
    if (!rules.byte_level && tokenizer.byte_fallback && byte_of_piece(entry.text)) {
      entry.kind = TokenKind::byte;
      ++bytes;
    }
    if (!rules.byte_level && tokenizer.unknown == entry.text) entry.kind = TokenKind::unknown;
  }
  if (tokenizer.unknown && std::none_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return entry.text == *tokenizer.unknown;
      }))
    throw Error(Fault::corrupt_file, fmt::format("{}: model.unk_token {} is not in model.vocab",
                                                 file, in_quotes(*tokenizer.unknown)));
  const bool whole = tokenizer.byte_fallback && bytes >= 256;
  if (rules.byte_level ? tokenizer.byte_fallback : tokenizer.byte_fallback && !whole)
    throw Error(
        Fault::unsupported,
        file + (rules.byte_level ? ": model.byte_fallback is set for a byte-level model"
                                 : ": model.byte_fallback is set, but not every byte has a token"));
  if (!rules.byte_level && !whole && tokenizer.unknown && !tokenizer.fuse_unknown)
    throw Error(
        Fault::unsupported,
        file + ": model.fuse_unk is not set, and malina writes one unknown token for a run");
  for (const AddedToken& token : tokenizer.added) add(token, rules.normalizes_tokens(), file);
  if (rules.prepends && std::any_of(tokenizer.added.begin(), tokenizer.added.end(),
                                    [](const AddedToken& token) { return token.normalized; }))
    warnings_.push_back(
        "added tokens that are normalized are found in every text; Transformers finds them behind "
        "a space alone");
}

void HuggingFaceVocabulary::take(const SentencePieceModel& model) {
  entries_.reserve(model.pieces.size());
  for (const auto& piece : model.pieces)
    entries_.push_back({.text = piece.text, .kind = piece.kind, .score = piece.score});
}

void HuggingFaceVocabulary::add(const AddedToken& token, bool normalizes, const std::string& file) {
  if (token.single_word)
    throw Error(Fault::unsupported,
                fmt::format("{}: added token {} is single_word, which malina does not have", file,
                            in_quotes(token.content)));
  if (token.content.empty())
    throw Error(Fault::corrupt_file, fmt::format("{}: added token {} is empty", file, token.id));
  Entry& entry = at(token.id);
  if (entry.text.empty()) {
    entry = {.text = token.content, .score = kAddedScore};
  } else if (entry.text != token.content) {
    throw Error(Fault::corrupt_file,
                fmt::format("{}: the id {} is given to {} and to the added token {}", file,
                            token.id, in_quotes(entry.text), in_quotes(token.content)));
  }
  if (entry.kind != TokenKind::unknown)
    entry.kind = token.special ? TokenKind::control : TokenKind::user_defined;
  entry.flags = flags_of(token, normalizes);
}

void HuggingFaceVocabulary::add_old(const AddedToken& token, const std::string& file) {
  if (token.id < entries_.size() && entries_[token.id].text == token.content) return;
  add(token, false, file);
}

void HuggingFaceVocabulary::make_special(
    const std::map<std::string, std::string, std::less<>>& specials,
    const std::vector<std::string>& more) {
  std::set<std::string_view> texts(more.begin(), more.end());
  for (const auto& [role, text] : specials) texts.insert(text);
  for (Entry& entry : entries_)
    if ((entry.kind == TokenKind::normal || entry.kind == TokenKind::user_defined) &&
        texts.count(entry.text) > 0)
      entry.kind = TokenKind::control;
}

void HuggingFaceVocabulary::resize(std::optional<std::uint64_t> size) {
  if (size && *size < entries_.size())
    warnings_.push_back(
        fmt::format("{} tokens are beyond the vocab_size of config.json, {}: left out",
                    entries_.size() - *size, *size));
  if (size) entries_.resize(*size);
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].text.empty())
      entries_[i] = {.text = fmt::format("[PAD{}]", i), .score = kPaddingScore};
}

PieceTable HuggingFaceVocabulary::table(const std::string& file) const {
  std::vector<std::string_view> views;
  views.reserve(entries_.size());
  for (const Entry& entry : entries_) views.push_back(entry.text);
  PieceTable pieces(views);
  if (pieces.duplicates() == 0) return pieces;
  for (std::size_t i = 0; i < views.size(); ++i)
    if (const auto other = static_cast<std::size_t>(pieces.find(views[i])); other != i)
      throw Error(Fault::corrupt_file, fmt::format("{}: the tokens {} and {} are both {}", file,
                                                   other, i, in_quotes(views[i])));
  return pieces;
}

std::vector<std::string> HuggingFaceVocabulary::texts() const {
  std::vector<std::string> texts;
  texts.reserve(entries_.size());
  for (const Entry& entry : entries_) texts.push_back(entry.text);
  return texts;
}

std::vector<std::int64_t> HuggingFaceVocabulary::kinds() const {
  std::vector<std::int64_t> kinds;
  kinds.reserve(entries_.size());
  for (const Entry& entry : entries_) kinds.push_back(static_cast<std::int64_t>(entry.kind));
  return kinds;
}

std::vector<float> HuggingFaceVocabulary::scores() const {
  std::vector<float> scores;
  scores.reserve(entries_.size());
  for (const Entry& entry : entries_) scores.push_back(entry.score);
  return scores;
}

std::vector<std::int64_t> HuggingFaceVocabulary::with(AddedTokenFlag flag) const {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if ((entries_[i].flags & flag) != 0) ids.push_back(static_cast<std::int64_t>(i));
  return ids;
}

std::vector<Token> HuggingFaceVocabulary::check_merges(TokenizerJson& tokenizer,
                                                       const PieceTable& pieces,
                                                       const TokenizerRules& rules,
                                                       const std::string& file) const {
  auto& merges = tokenizer.merges;
  std::vector<MergePieces> found;
  found.reserve(merges.size());
  find_merge_pieces(
      pieces, merges.size(),
      [&](std::size_t i) { return std::pair(merges[i].left_piece(), merges[i].right_piece()); },
      [&](std::size_t i, const MergePieces& tokens) {
        const std::string_view left = merges[i].left_piece(), right = merges[i].right_piece();
        if (tokens.left < 0 || tokens.right < 0 || tokens.result < 0)
          throw Error(
              Fault::corrupt_file,
              fmt::format("{}: model.merges: entry {} needs {}, which is not in model.vocab", file,
                          i,
                          in_quotes(tokens.left < 0    ? std::string(left)
                                    : tokens.right < 0 ? std::string(right)
                                                       : std::string(left).append(right))));
        if (rules.splits_words && (right.find(kMark) != std::string_view::npos ||
                                   left.find(kMark, 1) != std::string_view::npos))
          throw Error(Fault::unsupported,
                      fmt::format("{}: model.merges: entry {} goes across words, which the "
                                  "pre_tokenizer Metaspace splits",
                                  file, i));
        found.push_back(tokens);
      });
  return keep_usable(merges, found);
}

std::vector<float> HuggingFaceVocabulary::scores_of_merges(
    const std::vector<Token>& results) const {
  std::vector<float> scores = this->scores();
  std::vector<bool> scored(entries_.size(), false);
  float next = 0;
  for (const Token result : results) {
    const auto piece = static_cast<std::size_t>(result);
    if (scored[piece]) continue;
    scored[piece] = true;
    scores[piece] = -next++;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].kind == TokenKind::normal && !scored[i]) scores[i] = -next++;
  return scores;
}

}  // namespace malina::text
