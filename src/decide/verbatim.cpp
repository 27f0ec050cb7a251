#include "decide/verbatim.h"

#include <algorithm>

#include "base/utf8.h"

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

bool VerbatimReader::is_begin(std::size_t at) const {
  return !is_space(text_[at]) && is_edge(text_, at) && !taken_[at];
}

void VerbatimReader::begin_piece() {
  begins_.clear();
  length_ = 0;
  if (at_start())
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (is_begin(i)) begins_.push_back(i);
  spaced_ = false;
  none_.reset();
  if (pieces_.empty()) none_ = 0;
}

// How far a piece may go on from there.
std::string_view VerbatimReader::rest_from(std::size_t first, std::size_t most_bytes) const {
  const std::size_t most = std::min(text_.size(), first + most_bytes);
  std::size_t end = first;
  while (end < most && text_[end] != '\n' && !taken_[end]) ++end;
  return std::string_view(text_).substr(first, end - first);
}

namespace {

void visit_runs(std::string_view rest, std::size_t most_bytes, const VerbatimReader::Visit& visit) {
  for (std::size_t length = 1; length <= std::min(most_bytes, rest.size()); ++length)
    visit(rest.substr(0, length));
}

void visit_spaced_runs(std::string_view rest, std::size_t most_bytes,
                       const VerbatimReader::Visit& visit) {
  const std::string spaced = " " + std::string(rest.substr(0, most_bytes - 1));
  for (std::size_t length = 2; length <= spaced.size(); ++length)
    visit(std::string_view(spaced).substr(0, length));
}

}  // namespace

void VerbatimReader::each_start(std::size_t first, std::size_t last, std::size_t most_bytes,
                                bool spaced, const Visit& visit) const {
  for (std::size_t at = first; at < last; ++at)
    if (is_begin(at))
      (spaced ? visit_spaced_runs : visit_runs)(rest_from(at, most_bytes), most_bytes, visit);
}

void VerbatimReader::each_besides(std::size_t most_bytes, const Visit& visit) const {
  if (none_) {
    visit_runs(kNone.substr(*none_), most_bytes, visit);
    if (may_space()) visit_spaced_runs(kNone, most_bytes, visit);
  }
  if (may_space() && (!begins_.empty() || none_)) visit(" ");
  if (length_ > 0 && pieces_.size() + 1 < most_pieces_ && complete()) visit("\n");
}

void VerbatimReader::each_next(std::size_t most_bytes, const Visit& visit) const {
  for (const std::size_t begin : begins_) {
    visit_runs(rest_from(begin + length_, most_bytes), most_bytes, visit);
    if (may_space()) visit_spaced_runs(rest_from(begin + length_, most_bytes), most_bytes, visit);
  }
  each_besides(most_bytes, visit);
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
    : tokens_(std::move(tokens)), reader_(text, most_pieces) {
  count_starts(0, text.size(), true);
}

void VerbatimConstraint::count_starts(std::size_t first, std::size_t last, bool add) {
  for (const bool spaced : {false, true}) {
    Starts& starts = spaced ? spaced_starts_ : starts_;
    reader_.each_start(first, last, TokenBytes::kLongest, spaced, [&](std::string_view bytes) {
      for (const Token token : tokens_->find(bytes)) {
        if (add)
          ++starts[token];
        else
          --starts[token];
      }
    });
  }
}

engine::TokenMask VerbatimConstraint::allowed() {
  mask_.assign((tokens_->vocabulary() + 63) / 64, 0);
  bool any = false;
  const auto allow = [&](Token token) {
    const auto bit = static_cast<std::size_t>(token);
    if (bit >= tokens_->vocabulary()) return;
    mask_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    any = true;
  };
  const auto allow_bytes = [&](std::string_view bytes) {
    for (const Token token : tokens_->find(bytes)) allow(token);
  };
  if (reader_.at_start()) {
    for (const auto& [token, count] : starts_)
      if (count > 0) allow(token);
    if (reader_.may_space())
      for (const auto& [token, count] : spaced_starts_)
        if (count > 0) allow(token);
    reader_.each_besides(TokenBytes::kLongest, allow_bytes);
  } else {
    reader_.each_next(TokenBytes::kLongest, allow_bytes);
  }
  // Also where a vocabulary lacks the bytes to go on: what was begun is cut at its last word then.
  if (!any || reader_.may_end())
    for (const Token token : tokens_->tokenizer().end_tokens()) allow(token);
  return mask_;
}

void VerbatimConstraint::accept(Token token) {
  const std::string bytes = tokens_->tokenizer().bytes(token);
  if (bytes.empty()) return;
  const auto taken = bytes == "\n" ? reader_.complete() : std::nullopt;
  if (!taken) return reader_.accept(bytes);
  // Begins whose first token may reach into what is taken now.
  const std::size_t first = taken->begin - std::min(taken->begin, TokenBytes::kLongest);
  count_starts(first, taken->end, false);
  reader_.accept(bytes);
  count_starts(first, taken->end, true);
}

Span span_of(std::string_view text, const Piece& piece) {
  Span span;
  span.text = text.substr(piece.begin, piece.end - piece.begin);
  span.start_byte = piece.begin;
  span.end_byte = piece.end;
  span.start = base::code_points(text.substr(0, piece.begin));
  span.end = span.start + base::code_points(span.text);
  return span;
}

}  // namespace malina::decide
