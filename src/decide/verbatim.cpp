#include "decide/verbatim.h"

#include <algorithm>

namespace malina::decide {

namespace {

bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= 'a' && byte <= 'z');
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool is_edge(std::string_view text, std::size_t at) {
  return at == 0 || at == text.size() || !is_word(text[at - 1]) || !is_word(text[at]);
}

}  // namespace

TokenBytes::TokenBytes(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary)
    : tokenizer_(std::move(tokenizer)),
      vocabulary_(std::min(vocabulary, tokenizer_->vocabulary_size())) {
  for (std::size_t i = 0; i < vocabulary_; ++i) {
    const auto token = static_cast<Token>(i);
    const text::TokenKind kind = tokenizer_->kind(token);
    if (kind == text::TokenKind::control || kind == text::TokenKind::unknown ||
        kind == text::TokenKind::unused)
      continue;
    std::string bytes = tokenizer_->bytes(token);
    if (!bytes.empty() && bytes.size() <= kLongest) tokens_[std::move(bytes)].push_back(token);
  }
}

std::span<const Token> TokenBytes::find(std::string_view bytes) const {
  const auto found = tokens_.find(bytes);
  return found == tokens_.end() ? std::span<const Token>() : std::span(found->second);
}

VerbatimReader::VerbatimReader(std::string_view text, std::size_t most_pieces)
    : text_(text), most_pieces_(most_pieces), taken_(text.size(), false) {
  begin_piece();
}

bool VerbatimReader::is_free(std::size_t begin, std::size_t end) const {
  return std::find(taken_.begin() + static_cast<std::ptrdiff_t>(begin),
                   taken_.begin() + static_cast<std::ptrdiff_t>(end),
                   true) == taken_.begin() + static_cast<std::ptrdiff_t>(end);
}

std::vector<std::size_t> VerbatimReader::free_begins() const {
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < text_.size(); ++i)
    if (!is_space(text_[i]) && is_edge(text_, i) && !taken_[i]) begins.push_back(i);
  return begins;
}

void VerbatimReader::begin_piece() {
  begins_ = pieces_.size() < most_pieces_ ? free_begins() : std::vector<std::size_t>();
  length_ = 0;
  spaced_ = false;
  none_.reset();
  if (pieces_.empty()) none_ = 0;
}

void VerbatimReader::each_next(std::size_t most_bytes,
                               const std::function<void(std::string_view)>& visit) const {
  const bool may_space = length_ == 0 && !spaced_;
  std::string spaced = " ";
  const auto visit_runs = [&](std::string_view rest) {
    for (std::size_t length = 1; length <= std::min(most_bytes, rest.size()); ++length) {
      visit(rest.substr(0, length));
      if (!may_space || length + 1 > most_bytes) continue;
      spaced.resize(1);
      spaced += rest.substr(0, length);
      visit(spaced);
    }
  };
  for (const std::size_t begin : begins_) {
    std::size_t end = begin + length_;
    const std::size_t most = std::min(text_.size(), end + most_bytes);
    while (end < most && text_[end] != '\n' && !taken_[end]) ++end;
    visit_runs(std::string_view(text_).substr(begin + length_, end - begin - length_));
  }
  if (none_) visit_runs(kNone.substr(*none_));
  if (may_space && (!begins_.empty() || none_)) visit(" ");
  if (length_ > 0 && pieces_.size() + 1 < most_pieces_ && complete()) visit("\n");
}

std::optional<Piece> VerbatimReader::complete() const {
  for (const std::size_t begin : begins_) {
    Piece piece{begin, begin + length_};
    while (piece.end > piece.begin && is_space(text_[piece.end - 1])) --piece.end;
    if (piece.end > piece.begin && is_edge(text_, piece.end) && is_free(piece.begin, piece.end))
      return piece;
  }
  return std::nullopt;
}

// Also between pieces, where one has come.
bool VerbatimReader::may_end() const {
  if (none_ && *none_ == kNone.size()) return true;
  if (length_ == 0) return !pieces_.empty();
  return complete().has_value();
}

void VerbatimReader::accept(std::string_view bytes) {
  if (bytes == "\n") {
    end();
    begin_piece();
    return;
  }
  if (length_ == 0 && !spaced_ && bytes.starts_with(' ')) {
    spaced_ = true;
    bytes.remove_prefix(1);
  }
  std::erase_if(begins_, [&](std::size_t begin) {
    return std::string_view(text_).substr(std::min(text_.size(), begin + length_), bytes.size()) !=
           bytes;
  });
  if (none_ && kNone.substr(*none_, bytes.size()) == bytes)
    *none_ += bytes.size();
  else if (!bytes.empty())
    none_.reset();
  length_ += bytes.size();
}

void VerbatimReader::end() {
  const std::optional<Piece> piece = length_ > 0 ? complete() : std::nullopt;
  begins_.clear();
  length_ = 0;
  if (!piece) return;
  std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(piece->begin),
            taken_.begin() + static_cast<std::ptrdiff_t>(piece->end), true);
  pieces_.push_back(*piece);
}

VerbatimConstraint::VerbatimConstraint(std::shared_ptr<const TokenBytes> tokens,
                                       std::string_view text, std::size_t most_pieces)
    : tokens_(std::move(tokens)), reader_(text, most_pieces) {}

engine::TokenMask VerbatimConstraint::allowed() {
  mask_.assign((tokens_->vocabulary() + 63) / 64, 0);
  bool any = false;
  const auto allow = [&](Token token) {
    const auto bit = static_cast<std::size_t>(token);
    if (bit >= tokens_->vocabulary()) return;
    mask_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    any = true;
  };
  reader_.each_next(TokenBytes::kLongest, [&](std::string_view bytes) {
    for (const Token token : tokens_->find(bytes)) allow(token);
  });
  // Also where a vocabulary lacks the bytes to go on: what was begun is cut at its last word then.
  if (!any || reader_.may_end())
    for (const Token token : tokens_->tokenizer().end_tokens()) allow(token);
  return mask_;
}

void VerbatimConstraint::accept(Token token) {
  const std::string bytes = tokens_->tokenizer().bytes(token);
  if (!bytes.empty()) reader_.accept(bytes);
}

}  // namespace malina::decide
