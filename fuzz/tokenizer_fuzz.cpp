// Tokenizer: a small hostile vocabulary and a text, both from the input.
//
// Input: flags; rule; {count, pieces {kind and score, length, bytes}}; {count, merges {left,
// right}}; with kIds three ids; the rest is the text. Whatever the vocabulary, nothing may crash
// and content may not become a control token; with a vocabulary that has all bytes, decoding gives
// the text back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "finding.h"
#include "format/checkpoint.h"
#include "text/tokenizer.h"

namespace {

using malina::format::Metadata;
using malina::format::MetadataArray;
using malina::fuzz::require;
using malina::text::Span;
using malina::text::Token;
using malina::text::Tokenizer;
using malina::text::TokenKind;

enum Flags : unsigned {
  kByteLevel = 1,
  kAllBytes = 2,
  kNoSpacePrefix = 4,
  kCutTypes = 8,    // one type fewer than tokens
  kCutScores = 16,  // no scores, no merges
  kIds = 32,        // special ids from the input
};

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}
  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view bytes(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

struct Vocabulary {
  std::vector<std::string> pieces, merges;
  std::vector<std::int64_t> types;
  std::vector<float> scores;
  bool user_defined = false;

  void add(std::string piece, std::int64_t type, float score) {
    pieces.push_back(std::move(piece));
    types.push_back(type);
    scores.push_back(score);
    user_defined |= type == 4;
  }
};

std::string letter(unsigned byte) {
  static const std::vector<std::string> letters = [] {
    std::vector<std::string> made;
    unsigned next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      const unsigned code = printable ? b : next++;
      std::string text;
      if (code < 0x80) {
        text = static_cast<char>(code);
      } else {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
      }
      made.push_back(text);
    }
    return made;
  }();
  return letters[byte];
}

void add_bytes(unsigned flags, Vocabulary& vocabulary) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (flags & kByteLevel)
      vocabulary.add(letter(byte), 1, 0);
    else
      vocabulary.add(std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">", 6, 0);
  }
  // In bytes it would come back as "▁", as it does from SentencePiece.
  if (!(flags & kByteLevel)) vocabulary.add("▁", 1, 0);
}

Vocabulary read_vocabulary(unsigned flags, Input& input) {
  Vocabulary vocabulary;
  if (flags & kAllBytes) add_bytes(flags, vocabulary);
  const unsigned pieces = input.byte() % 48;
  for (unsigned i = 0; i < pieces; ++i) {
    const unsigned kind = input.byte();
    const unsigned length = input.byte() % 10;
    vocabulary.add(std::string(input.bytes(length)), kind & 7, static_cast<float>(kind >> 3));
  }
  const unsigned merges = input.byte() % 48;
  for (unsigned i = 0; i < merges; ++i) {
    const unsigned left = input.byte(), right = input.byte();
    if (vocabulary.pieces.empty()) break;
    const std::string& a = vocabulary.pieces[left % vocabulary.pieces.size()];
    const std::string& b = vocabulary.pieces[(left * 7 + right) % vocabulary.pieces.size()];
    const std::string joined = a + b;
    if (joined.size() > 64) continue;
    vocabulary.merges.push_back(a + " " + b);
    if (right & 1) vocabulary.add(joined, 1, 0);
  }
  return vocabulary;
}

template <typename Target, typename Source>
MetadataArray array_of(Target MetadataArray::* member, const Source& values, bool cut = false) {
  MetadataArray array;
  (array.*member).assign(values.begin(), values.end() - (cut && !values.empty() ? 1 : 0));
  return array;
}

constexpr std::string_view kRules[] = {"gpt-2",  "smollm",     "llama-bpe",    "tekken",
                                       "gpt-4o", "falcon",     "default",      "bloom",
                                       "viking", "bailingmoe", "deepseek-llm", "deepseek-v3"};

bool is_special(TokenKind kind) { return kind == TokenKind::control || kind == TokenKind::unknown; }

// SentencePiece reads "▁" as a space, unless a user-defined token cuts it: then it stays.
std::string with_spaces(std::string_view text, bool byte_level) {
  std::string result(text);
  if (byte_level) return result;
  for (std::size_t at; (at = result.find("▁")) != std::string::npos;) result.replace(at, 3, " ");
  return result;
}

void check(const Tokenizer& tokenizer, const Vocabulary& vocabulary, unsigned flags,
           std::string_view text) {
  const std::vector<Token> tokens = tokenizer.encode(text);
  for (const Token token : tokens) {
    require(tokenizer.kind(token) != TokenKind::control);
    require(!(flags & kAllBytes) || !is_special(tokenizer.kind(token)));
  }
  // A user-defined token has a space put behind it, so that only without those is the way exact.
  const bool exact = (flags & kByteLevel) || (flags & kNoSpacePrefix) || !vocabulary.user_defined;
  if ((flags & kAllBytes) && exact)
    require(with_spaces(tokenizer.decode(tokens), flags & kByteLevel) ==
            with_spaces(text, flags & kByteLevel));

  const std::size_t half = text.size() / 2;
  const std::vector<Span> content{{std::string(text.substr(0, half)), false},
                                  {std::string(text.substr(half)), false}};
  require(tokenizer.encode(content) == tokens);
  const std::vector<Span> mixed{{std::string(text.substr(0, half)), true},
                                {std::string(text.substr(half)), false}};
  tokenizer.decode(tokenizer.encode(mixed, {.add_bos = true}), true);
  tokenizer.decode(tokenizer.encode(text, {.add_bos = true, .parse_special = true}), true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned flags = input.byte();
  const std::string_view rule = kRules[input.byte() % std::size(kRules)];
  const Vocabulary vocabulary = read_vocabulary(flags, input);
  Metadata metadata;
  const bool byte_level = flags & kByteLevel;
  metadata.add("tokenizer.ggml.model", std::string_view(byte_level ? "gpt2" : "llama"));
  if (byte_level) metadata.add("tokenizer.ggml.pre", rule);
  metadata.add("tokenizer.ggml.tokens", array_of(&MetadataArray::strings, vocabulary.pieces));
  metadata.add("tokenizer.ggml.token_type",
               array_of(&MetadataArray::integers, vocabulary.types, flags & kCutTypes));
  if (!(flags & kCutScores)) {
    metadata.add("tokenizer.ggml.scores", array_of(&MetadataArray::numbers, vocabulary.scores));
    metadata.add("tokenizer.ggml.merges", array_of(&MetadataArray::strings, vocabulary.merges));
  }
  metadata.add("tokenizer.ggml.add_space_prefix", !(flags & kNoSpacePrefix));
  if (flags & kIds) {
    metadata.add("tokenizer.ggml.bos_token_id", std::uint64_t{input.byte()});
    metadata.add("tokenizer.ggml.eos_token_id", std::uint64_t{input.byte()});
    metadata.add("tokenizer.ggml.unknown_token_id", std::uint64_t{input.byte()});
  }
  try {
    check(*Tokenizer::create(metadata), vocabulary, flags, input.rest());
  } catch (const malina::base::Error&) {
    // The vocabulary was refused, which is an answer.
  }
  return 0;
}
