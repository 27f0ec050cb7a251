// The regular expressions that malina's pre-tokenisers were written from, as tokenizer.json files
// spell them.
#include <string>
#include <string_view>

#include "text/hugging_face_export.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_json_rules.h"

namespace malina::text {
namespace {

struct Spelling {
  std::string_view expressions;  // lines
  std::string_view names;        // with one space behind each; the first where none fits wholly
};

#define CONTRACTIONS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define TAIL R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define WORDS(NUMBERS) \
  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" NUMBERS R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" TAIL
#define TIKTOKEN(NUMBERS)                                            \
  R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N})" NUMBERS \
  R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"
#define GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
#define GPT2_TIKTOKEN R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
#define CASED(SUFFIX, NUMBERS)                                                              \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" SUFFIX  \
  R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" SUFFIX \
  R"(|\p{N})" NUMBERS R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" TAIL
#define DEEPSEEK3(QUOTE)                                                                 \
  "[!" QUOTE                                                                             \
  R"(#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)" \
  R"(| ?[\p{P}\p{S}]+[\r\n]*)" TAIL
#define BLOOM R"( ?[^(\s|.,!?…。，、।۔،)]+)"
#define BLOOM_NESTED R"( ?[^(\s|[.,!?…。，、।۔،])]+)"

constexpr Spelling kSpellings[] = {
    {GPT2, "gpt-2 olmo "},
    {GPT2_TIKTOKEN, "gpt-2 olmo "},
    {"\\p{N}\n" GPT2, "smollm command-r "},
    {CONTRACTIONS WORDS(""), "qwen2 hunyuan "},
    {TIKTOKEN(""), "qwen2 bailingmoe "},
    {CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" TAIL,
     "qwen35 "},
    {CONTRACTIONS WORDS("{1,3}"), "llama-bpe dbrx "},
    {TIKTOKEN("{1,3}"), "llama-bpe dbrx "},
    {CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" TAIL,
     "seed-coder "},
    {CASED("", ""), "tekken "},
    {CASED(CONTRACTIONS "?", "{1,3}"), "gpt-4o "},
    {BLOOM, "bloom "},
    {BLOOM_NESTED, "bloom "},
    {BLOOM "\n\\p{N}", "viking "},
    {BLOOM_NESTED "\n\\p{N}", "viking "},
    {"[\\r\\n]\n\\s?\\p{L}+\n\\s?\\p{P}+\n[一-龥ࠀ-一가-퟿]+\n\\p{N}", "deepseek-coder "},
    {"\\p{N}{1,3}\n[一-龥぀-ゟ゠-ヿ]+\n" DEEPSEEK3("\""), "deepseek-v3 "},
    {"\\p{N}{1,3}\n[一-龥぀-ゟ゠-ヿ]+\n" DEEPSEEK3("\\\""), "deepseek-v3 "},
};

}  // namespace

std::string pre_tokenizer_name(const std::string& expressions, bool composed, bool ignore_merges) {
  for (const Spelling& spelling : kSpellings) {
    if (spelling.expressions != expressions) continue;
    std::string_view first;
    for (std::string_view rest = spelling.names; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      rest.remove_prefix(name.size() + 1);
      if (first.empty()) first = name;
      const PreTokenizer* rule = PreTokenizer::find(name);
      if (rule != nullptr && rule->composed == composed && rule->ignore_merges == ignore_merges)
        return std::string(name);
    }
    return std::string(first);
  }
  return {};
}

std::string pre_tokenizer_expressions(std::string_view name) {
  const PreTokenizer* wanted = PreTokenizer::find(name);
  if (wanted == nullptr) return {};
  for (const Spelling& spelling : kSpellings)
    for (std::string_view rest = spelling.names; !rest.empty();) {
      const std::string_view other = rest.substr(0, rest.find(' '));
      rest.remove_prefix(other.size() + 1);
      const PreTokenizer* rule = PreTokenizer::find(other);
      if (rule != nullptr && rule->stages == wanted->stages)
        return std::string(spelling.expressions);
    }
  return {};
}

}  // namespace malina::text
