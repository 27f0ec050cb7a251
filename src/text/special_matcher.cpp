#include "text/special_matcher.h"

#include "text/unicode.h"

namespace malina::text {
namespace {

constexpr std::string_view kEscapedSpace = "▁";

bool is_ascii_space(char c) { return c == ' ' || (c >= 9 && c <= 13); }

// The end of the white space at text[position].
std::size_t space_end(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    const Character character = character_at(text.data(), position, text.size());
    if (!(character.classes & kSpace)) break;
    position += character.bytes;
  }
  return position;
}

// The beginning of the white space that ends at `position`, not before `from`.
std::size_t space_begin(std::string_view text, std::size_t position, std::size_t from) {
  while (position > from) {
    std::size_t previous = position - 1;
    while (previous > from && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80)
      --previous;
    const Character character = character_at(text.data(), previous, position);
    if (!(character.classes & kSpace) || previous + character.bytes != position) break;
    position = previous;
  }
  return position;
}

std::string unescaped(std::string_view piece) {
  std::string text(piece);
  for (std::size_t at = 0; (at = text.find(kEscapedSpace, at)) != std::string::npos; ++at)
    text.replace(at, kEscapedSpace.size(), " ");
  return text;
}

}  // namespace

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary, bool escaped)
    : vocabulary_(&vocabulary), edges_(64), tokens_{-1} {
  for (std::size_t i = 0; i < vocabulary.kinds.size(); ++i) {
    const TokenKind kind = vocabulary.kinds[i];
    if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined)
      add(vocabulary.pieces[i], static_cast<Token>(i));
    // tokenizer.json has most tokens looked for in the text as it is.
    const bool as_written =
        vocabulary.by_rank && !vocabulary.has(static_cast<Token>(i), kNormalized);
    if (escaped && kind == TokenKind::user_defined && !as_written)
      add(unescaped(vocabulary.pieces[i]), static_cast<Token>(i));
  }
}

void SpecialMatcher::add(std::string_view piece, Token token) {
  if (piece.empty()) return;
  starts_[static_cast<unsigned char>(piece[0])] = true;
  std::uint32_t node = kRoot;
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    if (const std::uint32_t* next = edges_.find(node, byte)) {
      node = *next;
      continue;
    }
    const auto made = static_cast<std::uint32_t>(tokens_.size());
    tokens_.push_back(-1);
    edges_.insert(node, byte, made);
    node = made;
  }
  if (tokens_[node] < 0) tokens_[node] = token;
}

SpecialMatcher::Match SpecialMatcher::match_at(std::string_view text, std::size_t position,
                                               std::size_t trusted_end) const {
  Match match{position, position, -1};
  std::uint32_t node = kRoot;
  for (std::size_t i = position; i < text.size();) {
    const std::uint32_t* next = edges_.find(node, static_cast<unsigned char>(text[i]));
    if (next == nullptr) break;
    node = *next;
    ++i;
    const Token token = tokens_[node];
    if (token < 0) continue;
    if (vocabulary_->kind(token) == TokenKind::user_defined || i <= trusted_end)
      match = {position, i, token};
  }
  return match;
}

SpecialMatcher::Match SpecialMatcher::find(std::string_view text, std::size_t from,
                                           std::span<const TrustedRange>& trusted) const {
  if (tokens_.size() == 1) return {0, 0, -1};
  for (std::size_t position = from; position < text.size(); ++position) {
    if (!starts_[static_cast<unsigned char>(text[position])]) continue;
    while (!trusted.empty() && trusted.front().end <= position) trusted = trusted.subspan(1);
    const bool inside = !trusted.empty() && trusted.front().begin <= position;
    Match match = match_at(text, position, inside ? trusted.front().end : 0);
    if (match.token < 0) continue;
    if (vocabulary_->strips_after(match.token))
      while (match.end < text.size() && is_ascii_space(text[match.end])) ++match.end;
    if (vocabulary_->has(match.token, kStripRight)) match.end = space_end(text, match.end);
    if (vocabulary_->has(match.token, kStripLeft))
      match.begin = space_begin(text, match.begin, from);
    return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace malina::text
