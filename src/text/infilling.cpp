#include "text/infilling.h"

#include <array>
#include <optional>
#include <string>

#include "base/error.h"

namespace malina::text {
namespace {

struct Marks {
  Token prefix, suffix, middle;
};

// The three tokens, where the vocabulary has all of them.
std::optional<Marks> find_marks(const Tokenizer& tokenizer, const char* prefix, const char* suffix,
                                const char* middle) {
  const auto first = tokenizer.find(prefix);
  const auto second = tokenizer.find(suffix);
  const auto third = tokenizer.find(middle);
  if (!first || !second || !third) return std::nullopt;
  return Marks{*first, *second, *third};
}

// Without the space that SentencePiece puts before a text: it stands before a character whose
// tokens are then left out, as CodeLlama's own code does.
std::vector<Token> encode_without_prefix(const Tokenizer& tokenizer, std::string_view text) {
  if (!tokenizer.adds_space_prefix()) return tokenizer.encode(text);
  constexpr std::string_view kGuard = "☺";
  const std::size_t guard = tokenizer.encode(kGuard).size();
  auto tokens = tokenizer.encode(std::string(kGuard) + std::string(text));
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(guard));
  return tokens;
}

class Prompt {
 public:
  explicit Prompt(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  Prompt& begin() {
    if (tokenizer_.bos()) tokens_.push_back(*tokenizer_.bos());
    return *this;
  }
  Prompt& mark(Token token) {
    tokens_.push_back(token);
    return *this;
  }
  Prompt& text(const std::vector<Token>& tokens) {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    return *this;
  }
  std::vector<Token> take() { return std::move(tokens_); }

 private:
  const Tokenizer& tokenizer_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> infill_prompt(const Tokenizer& tokenizer, std::string_view prefix,
                                 std::string_view suffix, InfillOrder order) {
  const bool prefix_first = order == InfillOrder::prefix_first;
  const auto before = tokenizer.encode(prefix);
  const auto after = encode_without_prefix(tokenizer, suffix);
  Prompt prompt(tokenizer);
  if (const auto llama = find_marks(tokenizer, "▁<PRE>", "▁<SUF>", "▁<MID>")) {
    prompt.begin().mark(llama->prefix);
    if (prefix_first)
      prompt.text(before).mark(llama->suffix).text(after).mark(llama->middle);
    else
      prompt.mark(llama->suffix).text(after).mark(llama->middle).text(before);
    return prompt.take();
  }
  if (!prefix_first)
    throw base::Error(base::Fault::unsupported,
                      "only CodeLlama's models fill in with the suffix first");
  // Mistral's form has no third mark: [MIDDLE] is in its vocabulary and not in its prompts.
  if (const auto mistral = find_marks(tokenizer, "[PREFIX]", "[SUFFIX]", "[SUFFIX]"))
    return prompt.begin().mark(mistral->suffix).text(after).mark(mistral->prefix).text(before).take();
  for (const auto& [first, second, third] :
       {std::array{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
        std::array{"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}}) {
    const auto marks = find_marks(tokenizer, first, second, third);
    if (!marks) continue;
    if (tokenizer.adds_bos()) prompt.begin();
    return prompt.mark(marks->prefix).text(before).mark(marks->suffix).text(after)
        .mark(marks->middle).take();
  }
  throw base::Error(base::Fault::unsupported,
                    "the model was not made to fill in: its vocabulary has no tokens for it");
}

}  // namespace malina::text
