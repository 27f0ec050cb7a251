#include "engine/json_constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <list>
#include <unordered_map>

#include "base/error.h"
#include "text/token_trie.h"
#include "text/unicode.h"

namespace malina::engine {
namespace {

using base::Error;
using base::Fault;
using text::JsonPlace;
using text::JsonState;
using text::TokenKind;
using text::TokenTrie;

// Longer tokens are left out: no text needs one, and they would make the trie large.
constexpr std::size_t kLongestToken = 256;
// 256 masks of 262,144 tokens, 1,300 of 50,000. A conversation needs some dozens.
constexpr std::size_t kCacheBytes = std::size_t{8} << 20;

bool whole_characters(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = text::valid_character(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

// The tokens that are text, with their bytes. End tokens are not, whatever the vocabulary calls
// them: an answer ends with one.
std::vector<TokenTrie::Entry> text_tokens(const text::Tokenizer& tokenizer,
                                          std::size_t vocabulary) {
  std::vector<TokenTrie::Entry> entries;
  entries.reserve(vocabulary);
  const auto ends = tokenizer.end_tokens();
  for (std::size_t i = 0; i < vocabulary; ++i) {
    const auto token = static_cast<Token>(i);
    const TokenKind kind = tokenizer.kind(token);
    if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::unused)
      continue;
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) continue;
    std::string bytes = tokenizer.bytes(token);
    if (!bytes.empty() && bytes.size() <= kLongestToken)
      entries.push_back({std::move(bytes), token});
  }
  return entries;
}

// Holds the vocabulary to what makes dead ends impossible (text/json_grammar.h).
void check_spelling(std::vector<TokenTrie::Entry>& entries) {
  std::array<bool, 256> single{};
  for (const auto& entry : entries)
    if (entry.bytes.size() == 1) single[static_cast<unsigned char>(entry.bytes[0])] = true;
  const auto spelled = [&](char byte) { return single[static_cast<unsigned char>(byte)]; };
  for (const char byte : text::kJsonClosingBytes)
    if (!spelled(byte))
      throw Error(Fault::unsupported,
                  fmt::format("this model's vocabulary has no token for '{}' alone, so its answers "
                              "cannot be held to JSON",
                              byte));
  // A vocabulary without byte tokens has whole characters only; a part of one could not be ended.
  if (!std::all_of(text::kJsonContinuationBytes.begin(), text::kJsonContinuationBytes.end(),
                   spelled))
    std::erase_if(entries, [](const auto& entry) { return !whole_characters(entry.bytes); });
}

std::size_t most_of(std::span<const TokenTrie::Entry> entries, char one, char other) {
  std::ptrdiff_t most = 0;
  for (const auto& entry : entries)
    most = std::max(most, std::count_if(entry.bytes.begin(), entry.bytes.end(),
                                        [&](char byte) { return byte == one || byte == other; }));
  return std::min<std::size_t>(static_cast<std::size_t>(most), text::kJsonDepth);
}

std::vector<TokenTrie::Entry> with_quotes(std::span<const TokenTrie::Entry> entries) {
  std::vector<TokenTrie::Entry> some;
  for (const auto& entry : entries)
    if (entry.bytes.find('"') != std::string::npos) some.push_back(entry);
  return some;
}

// What of a state no token can reach beyond is left out: states with equal keys have equal masks.
struct Key {
  JsonState state;        // with the innermost containers only
  std::uint8_t room = 0;  // how many more can be opened, where a token could open more

  bool operator==(const Key&) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    const JsonState& state = key.state;
    std::uint64_t packed = state.exponent;
    packed = packed << 8 | state.depth;
    packed = packed << 8 | static_cast<std::uint8_t>(state.place);
    packed = packed << 8 | state.count;
    packed = packed << 8 | key.room;
    packed = packed << 4 | static_cast<std::uint64_t>(state.blank) << 1 |
             static_cast<std::uint64_t>(state.key);
    std::uint64_t mixed = (packed ^ state.arrays * 0x9E3779B97F4A7C15ULL) * 0xBF58476D1CE4E5B9ULL;
    return static_cast<std::size_t>(mixed ^ (mixed >> 31));
  }
};

}  // namespace

struct JsonMasks::Tables {
  Tables(std::span<const TokenTrie::Entry> entries, std::span<const Token> ends,
         std::size_t vocabulary);

  SharedMask find(const JsonState& state);
  Key key_of(const JsonState& state) const;
  SharedMask compute(const JsonState& state);
  const std::vector<std::uint64_t>& inside(JsonPlace place);

  std::size_t words;
  TokenTrie all;
  TokenTrie quoted;     // the tokens that hold a '"'
  std::size_t closers;  // the most that one token has
  std::size_t openers;
  SharedMask end;

  std::mutex mutex;  // of all that follows
  // By the place in a string: the tokens that stay inside of the string, nearly the whole
  // vocabulary and the same in every string. Empty until needed.
  std::array<std::vector<std::uint64_t>, text::kJsonPlaces> inside_masks;
  std::list<std::pair<Key, SharedMask>> kept;  // the last one used first
  std::unordered_map<Key, std::list<std::pair<Key, SharedMask>>::iterator, KeyHash> by_key;
};

JsonMasks::Tables::Tables(std::span<const TokenTrie::Entry> entries, std::span<const Token> ends,
                          std::size_t vocabulary)
    : words((vocabulary + 63) / 64),
      all(entries),
      quoted(with_quotes(entries)),
      closers(most_of(entries, '}', ']')),
      openers(most_of(entries, '{', '[')) {
  std::vector<std::uint64_t> mask(words);
  for (const Token token : ends)
    mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
  end = std::make_shared<const std::vector<std::uint64_t>>(std::move(mask));
}

Key JsonMasks::Tables::key_of(const JsonState& state) const {
  Key key{state, static_cast<std::uint8_t>(
                     std::min<std::size_t>(text::kJsonDepth - state.depth, openers))};
  // One more than can be closed: it says what the last one closed stands in.
  const std::size_t depth = std::min<std::size_t>(state.depth, closers + 1);
  if (depth > 0) key.state.arrays >>= state.depth - depth;
  key.state.depth = static_cast<std::uint8_t>(depth);
  return key;
}

const std::vector<std::uint64_t>& JsonMasks::Tables::inside(JsonPlace place) {
  std::vector<std::uint64_t>& mask = inside_masks[static_cast<std::size_t>(place)];
  if (!mask.empty()) return mask;
  mask.resize(words);
  JsonState start;
  start.place = place;
  all.mark(
      start,
      [](JsonState& state, unsigned char byte) {
        return text::advance(state, byte) && text::in_string(state.place);
      },
      mask);
  return mask;
}

SharedMask JsonMasks::Tables::compute(const JsonState& state) {
  const auto step = [](JsonState& at, unsigned char byte) { return text::advance(at, byte); };
  const bool string = text::in_string(state.place);
  auto mask = std::make_shared<std::vector<std::uint64_t>>();
  if (string)
    *mask = inside(state.place);
  else
    mask->resize(words);
  (string ? quoted : all).mark(state, step, *mask);
  return mask;
}

SharedMask JsonMasks::Tables::find(const JsonState& state) {
  if (text::complete(state)) return end;
  const Key key = key_of(state);
  const std::scoped_lock lock(mutex);
  if (const auto found = by_key.find(key); found != by_key.end()) {
    kept.splice(kept.begin(), kept, found->second);
    return kept.front().second;
  }
  kept.emplace_front(key, compute(state));
  by_key.emplace(key, kept.begin());
  if (kept.size() * words * 8 > kCacheBytes && kept.size() > 1) {
    by_key.erase(kept.back().first);
    kept.pop_back();
  }
  return kept.front().second;
}

JsonMasks::JsonMasks(std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t vocabulary)
    : tokenizer_(std::move(tokenizer)) {
  vocabulary = std::min(vocabulary, tokenizer_->vocabulary_size());
  auto entries = text_tokens(*tokenizer_, vocabulary);
  check_spelling(entries);
  std::vector<Token> ends(tokenizer_->end_tokens().begin(), tokenizer_->end_tokens().end());
  std::erase_if(ends, [&](Token token) { return static_cast<std::size_t>(token) >= vocabulary; });
  if (ends.empty())
    throw Error(Fault::unsupported,
                "this model's vocabulary has no end token, so an answer cannot end behind its JSON "
                "object");
  tables_ = std::make_unique<Tables>(entries, ends, vocabulary);
}
JsonMasks::~JsonMasks() = default;

SharedMask JsonMasks::find(const JsonState& state) { return tables_->find(state); }

TokenMask JsonConstraint::allowed() {
  if (!mask_) mask_ = masks_->find(state_);
  return *mask_;
}

void JsonConstraint::accept(Token token) {
  const auto ends = masks_->tokenizer().end_tokens();
  if (text::complete(state_) && std::find(ends.begin(), ends.end(), token) != ends.end()) return;
  const std::string bytes = masks_->tokenizer().bytes(token);
  const auto next = text::accepts(state_, bytes);
  if (!next || bytes.empty())
    throw Error(Fault::internal,
                fmt::format("token {} was chosen where JSON does not allow it", token));
  state_ = *next;
  mask_.reset();
}

std::unique_ptr<Constraint> JsonMode::constraint() const {
  const std::scoped_lock lock(mutex_);
  if (!masks_) masks_ = std::make_shared<JsonMasks>(tokenizer_, vocabulary_);
  return std::make_unique<JsonConstraint>(masks_);
}

}  // namespace malina::engine
