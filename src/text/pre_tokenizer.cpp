// The rules by name. Expressions: models.md section 3.2 and, for those it does not quote, the
// expressions of the models' own tokenizer.json as llama.cpp lists them in src/llama-vocab.cpp.
#include "text/pre_tokenizer.h"

#include <algorithm>
#include <string_view>

#include "text/pre_tokenizer_scanners.h"
#include "text/unicode_ranges.h"

namespace malina::text {
namespace {

using scan::at;
using scan::Before;
using scan::isolate;
using scan::one;
using scan::some;
using scan::up_to;

bool is_number(const Character& c) { return (c.classes & kNumber) != 0; }
bool is_line_break(const Character& c) { return (c.classes & kLineBreak) != 0; }
bool is_punctuation(const Character& c) { return (c.classes & kPunctuation) != 0; }
bool is_letter(const Character& c) { return (c.classes & kLetter) != 0; }

bool in_text(const Character& c, std::string_view ascii) {
  return c.code < 128 && ascii.find(static_cast<char>(c.code)) != std::string_view::npos;
}
// [\p{P}\$\+<=>\^~\|]
bool is_default_mark(const Character& c) { return is_punctuation(c) || in_text(c, "$+<=>^~|"); }
// [\p{P}\$\+<=>\^~\|`]
bool is_falcon_mark(const Character& c) { return is_default_mark(c) || c.code == '`'; }

// [^(\s|.,!?…。，、।۔،)]
bool is_bloom_word(const Character& c) {
  if (c.classes & kSpace) return false;
  switch (c.code) {
    case 0x2026:
    case 0x3002:
    case 0xFF0C:
    case 0x3001:
    case 0x964:
    case 0x6D4:
    case 0x60C:
      return false;
    default:
      return !in_text(c, "(|.,!?)");
  }
}

bool between(std::uint32_t code, std::uint32_t low, std::uint32_t high) {
  return code >= low && code <= high;
}
// [!-/:-~！-／：-～‘-‟　-。]
bool is_deepseek_mark(const Character& c) {
  return between(c.code, '!', '/') || between(c.code, ':', '~') ||
         between(c.code, 0xFF01, 0xFF0F) || between(c.code, 0xFF1A, 0xFF5E) ||
         between(c.code, 0x2018, 0x201F) || between(c.code, 0x3000, 0x3002);
}
// [一-龥ࠀ-一가-퟿]
bool is_deepseek_wide(const Character& c) {
  return between(c.code, 0x800, 0x9FA5) || between(c.code, 0xAC00, 0xD7FF);
}
// [一-龥぀-ゟ゠-ヿ]
bool is_han_or_kana(const Character& c) {
  return between(c.code, 0x4E00, 0x9FA5) || between(c.code, 0x3040, 0x30FF);
}
bool is_cased(const Character& c) { return in_ranges(kDeepSeekLetters, c.code); }

// [0-9][0-9][0-9]
std::size_t three_digits(const char* text, std::size_t begin, std::size_t end) {
  if (end - begin < 3) return begin;
  for (std::size_t i = begin; i < begin + 3; ++i)
    if (text[i] < '0' || text[i] > '9') return begin;
  return begin + 3;
}

// \s+$ as a stage of its own: what stands before the white space at the end, then that.
std::size_t trailing_space(const char* text, std::size_t begin, std::size_t end) {
  std::size_t start = end;
  while (start > begin) {
    std::size_t previous = start - 1;
    while (previous > begin && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80)
      --previous;
    const Character character = at(text, previous, end);
    if (!(character.classes & kSpace) || previous + character.bytes != start) break;
    start = previous;
  }
  return start > begin ? start : end;
}

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
//   | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t deepseek3_word(const char* text, std::size_t begin, std::size_t end) {
  constexpr unsigned kWord = kLetter | kMark;
  constexpr unsigned kSign = kPunctuation | kSymbol;
  const Character first = at(text, begin, end);
  const std::size_t second = begin + first.bytes;
  const Character next = second < end ? at(text, second, end) : Character{kInvalidCode, 0, 0};
  if (first.code < 128 && (first.classes & kSign) && next.code < 128 && (next.classes & kLetter)) {
    std::size_t position = second;
    while (position < end && static_cast<unsigned char>(text[position]) < 128 &&
           (at(text, position, end).classes & kLetter))
      ++position;
    return position;
  }
  if (first.classes & kWord) return scan::run(text, second, end, kWord);
  if (!(first.classes & (kLineBreak | kSign)) && (next.classes & kWord))
    return scan::run(text, second, end, kWord);
  if ((first.classes & kSign) || (first.code == ' ' && (next.classes & kSign)))
    return scan::run(text, scan::run(text, second, end, kSign), end, kLineBreak);
  if (first.classes & kSpace) return scan::white_space(text, begin, end, true);
  return begin;
}

constexpr scan::WordRule kQwen{};
constexpr scan::WordRule kQwen35{.marks = true};
constexpr scan::WordRule kLlama3{.numbers = 3};
constexpr scan::WordRule kSeedCoder{.breaks = false};
constexpr scan::WordRule kUfakzeka{.contractions = false};
constexpr scan::WordRule kAnyNumbers{.numbers = 1 << 30};
constexpr scan::CasedRule kTekken{};
constexpr scan::CasedRule kGpt4o{.numbers = 3, .contractions = true};

constexpr PreTokenizer kGpt2Rule{.stages = {scan::gpt2<false>}};
constexpr PreTokenizer kGpt2Composed{.stages = {scan::gpt2<false>}, .composed = true};
constexpr PreTokenizer kStarcoderRule{.stages = {scan::gpt2<true>}};
constexpr PreTokenizer kCommandR{.stages = {scan::gpt2<true>}, .composed = true};
constexpr PreTokenizer kQwenRule{.stages = {scan::words<kQwen>}, .composed = true};
constexpr PreTokenizer kQwenPlain{.stages = {scan::words<kQwen>}};
constexpr PreTokenizer kQwen35Rule{.stages = {scan::words<kQwen35>}, .composed = true};
constexpr PreTokenizer kLlama3Rule{
    .stages = {scan::words<kLlama3>}, .ignore_merges = true, .add_bos = true};
constexpr PreTokenizer kLlama3Merges{.stages = {scan::words<kLlama3>}};
constexpr PreTokenizer kSeedCoderRule{.stages = {scan::words<kSeedCoder>}};
constexpr PreTokenizer kUfakzekaRule{.stages = {scan::words<kUfakzeka>}};
constexpr PreTokenizer kMiniCpm5{.stages = {isolate<up_to<is_number, 3>>, scan::words<kAnyNumbers>},
                                 .ignore_merges = true};
constexpr PreTokenizer kTekkenRule{
    .stages = {scan::cased_words<kTekken>}, .ignore_merges = true, .add_bos = true};
constexpr PreTokenizer kGpt4oRule{.stages = {scan::cased_words<kGpt4o>}};
constexpr PreTokenizer kFalcon{
    .stages = {isolate<some<is_falcon_mark>>, scan::gpt2<false>, isolate<three_digits>}};
constexpr PreTokenizer kDefault{.stages = {isolate<some<is_default_mark>>, scan::gpt2<false>,
                                           isolate<some<is_number>>, isolate<three_digits>}};
constexpr PreTokenizer kBloom{.stages = {isolate<some<is_bloom_word, Before::blank>>}};
constexpr PreTokenizer kViking{
    .stages = {isolate<some<is_bloom_word, Before::blank>>, isolate<one<is_number>>}};
constexpr PreTokenizer kDeepSeekLlm{
    .stages = {isolate<one<is_line_break>>, isolate<some<is_cased, Before::white_space>>,
               isolate<some<is_deepseek_mark, Before::white_space>>, trailing_space,
               isolate<some<is_deepseek_wide>>, isolate<some<is_number>>}};
constexpr PreTokenizer kDeepSeekCoder{
    .stages = {isolate<one<is_line_break>>, isolate<some<is_letter, Before::white_space>>,
               isolate<some<is_punctuation, Before::white_space>>, isolate<some<is_deepseek_wide>>,
               isolate<one<is_number>>}};
constexpr PreTokenizer kDeepSeek3{.stages = {isolate<up_to<is_number, 3>>,
                                             isolate<some<is_han_or_kana>>,
                                             isolate<deepseek3_word>}};

struct Named {
  std::string_view name;
  const PreTokenizer* rule;
};

constexpr Named kRules[] = {
    {"default", &kDefault},
    {"gpt-2", &kGpt2Rule},
    {"phi-2", &kGpt2Rule},
    {"jais", &kGpt2Rule},
    {"roberta-bpe", &kGpt2Rule},
    {"jina-es", &kGpt2Rule},
    {"jina-de", &kGpt2Rule},
    {"jina-v1-en", &kGpt2Rule},
    {"jina-v2-es", &kGpt2Rule},
    {"jina-v2-de", &kGpt2Rule},
    {"jina-v2-code", &kGpt2Rule},
    {"gigachat", &kGpt2Rule},
    {"a.x-4.0", &kGpt2Rule},
    {"mellum", &kGpt2Rule},
    {"exaone4", &kGpt2Rule},
    {"trillion", &kGpt2Rule},
    {"granite-docling", &kGpt2Rule},
    {"mpt", &kGpt2Composed},
    {"olmo", &kGpt2Composed},
    {"modern-bert", &kGpt2Composed},
    {"smollm", &kStarcoderRule},
    {"starcoder", &kStarcoderRule},
    {"refact", &kStarcoderRule},
    {"codeshell", &kStarcoderRule},
    {"exaone", &kStarcoderRule},
    {"minerva-7b", &kStarcoderRule},
    {"mellum2", &kStarcoderRule},
    {"command-r", &kCommandR},
    {"qwen2", &kQwenRule},
    {"deepseek-r1-qwen", &kQwenRule},
    {"stablelm2", &kQwenRule},
    {"megrez", &kQwenRule},
    {"kormo", &kQwenRule},
    {"f2llmv2", &kQwenRule},
    {"qwen35", &kQwen35Rule},
    {"hunyuan", &kQwenPlain},
    {"solar-open", &kQwenPlain},
    {"grok-2", &kQwenPlain},
    {"bailingmoe", &kQwenPlain},
    {"bailingmoe2", &kQwenPlain},
    {"llada-moe", &kQwenPlain},
    {"seed-coder", &kSeedCoderRule},
    {"ufakzeka", &kUfakzekaRule},
    {"minicpm5", &kMiniCpm5},
    {"llama3", &kLlama3Rule},
    {"llama-v3", &kLlama3Rule},
    {"llama-bpe", &kLlama3Rule},
    {"falcon3", &kLlama3Rule},
    {"falcon-h1", &kLlama3Rule},
    {"pixtral", &kLlama3Rule},
    {"midm-2.0", &kLlama3Rule},
    {"lfm2", &kLlama3Rule},
    {"jina-v5-nano", &kLlama3Rule},
    {"dbrx", &kLlama3Merges},
    {"smaug-bpe", &kLlama3Merges},
    {"chatglm-bpe", &kLlama3Merges},
    {"glm4", &kLlama3Merges},
    {"tekken", &kTekkenRule},
    {"gpt-4o", &kGpt4oRule},
    {"llama4", &kGpt4oRule},
    {"kanana2", &kGpt4oRule},
    {"talkie", &kGpt4oRule},
    {"minimax-m2", &kGpt4oRule},
    {"falcon", &kFalcon},
    {"bloom", &kBloom},
    {"poro-chat", &kBloom},
    {"gpt3-finnish", &kBloom},
    {"viking", &kViking},
    {"deepseek-llm", &kDeepSeekLlm},
    {"deepseek-coder", &kDeepSeekCoder},
    {"deepseek-v3", &kDeepSeek3},
    {"hunyuan-dense", &kDeepSeek3},
    {"joyai-llm", &kDeepSeek3},
    {"hy_v4", &kDeepSeek3},
};

}  // namespace

const PreTokenizer* PreTokenizer::find(std::string_view name) {
  const auto found = std::find_if(std::begin(kRules), std::end(kRules),
                                  [&](const Named& named) { return named.name == name; });
  return found == std::end(kRules) ? nullptr : found->rule;
}

}  // namespace malina::text
