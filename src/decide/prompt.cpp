#include "decide/prompt.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/quote.h"

namespace malina::decide {

using base::Error;
using base::Fault;

namespace {

// Of templates that write the day into the prompt: an answer must not depend on it.
constexpr auto kDay = std::chrono::system_clock::time_point(
    std::chrono::sys_days(std::chrono::year(2024) / std::chrono::month(7) / std::chrono::day(26)));

constexpr std::string_view kAnswer = "\n\nAnswer:";

std::string options_text(const Question& question) {
  std::string text = question.type == QuestionType::score
                         ? "\n\nLevels, from the lowest to the highest:"
                         : "\n\nOptions:";
  for (const Option& option : question.options) {
    text += "\n- " + option.label;
    if (!option.description.empty()) text += ": " + option.description;
  }
  return text;
}

std::string_view task_of(const Question& question) {
  switch (question.type) {
    case QuestionType::predicate:
      return "\n\nIs this true of the text? Answer Yes or No.";
    case QuestionType::choice:
      return question.multiple ? "\n\nAny number of the options may apply to the text."
                               : "\n\nAnswer with exactly one of the options, and nothing else.";
    case QuestionType::score:
      return "\n\nAnswer with exactly one of the levels, and nothing else.";
    case QuestionType::extract:
      return "\n\nCopy what is asked for from the text, word for word, one piece on each line. "
             "Answer none where there is nothing.";
  }
  return "";
}

std::vector<text::Span> render(const PromptSource& source, Json messages, bool asks) {
  const auto special = [&](std::optional<Token> token) {
    return token ? std::string(source.tokenizer->piece(*token)) : std::string();
  };
  text::TemplateInput input;
  input.messages = std::move(messages);
  input.add_generation_prompt = asks;
  input.extra = {{"enable_thinking", false}};
  input.bos_token = special(source.tokenizer->bos());
  input.eos_token = special(source.tokenizer->eos());
  input.now = kDay;
  return source.chat_template->render(input);
}

std::vector<text::Span> render(const PromptSource& source, const std::string& message) {
  if (source.chat_template == nullptr) return {{message + std::string(kAnswer), false}};
  return render(source, Json::array({{{"role", "user"}, {"content", message}}}), true);
}

std::vector<Token> encode(const PromptSource& source, const std::vector<text::Span>& spans) {
  return source.tokenizer->encode(spans, {.add_bos = source.tokenizer->adds_bos()});
}

std::vector<Token> answered(const PromptSource& source, std::vector<text::Span> spans,
                            const std::string& answer) {
  spans.push_back({source.chat_template == nullptr ? " " + answer : answer, false});
  return encode(source, spans);
}

std::size_t common_length(const std::vector<Token>& a, const std::vector<Token>& b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(end - a.begin());
}

// The token with which the template ends an answer; otherwise the model's end.
std::optional<Token> end_token(const PromptSource& source) {
  const auto ends = source.tokenizer->end_tokens();
  const auto is_end = [&](Token token) { return std::ranges::find(ends, token) != ends.end(); };
  if (source.chat_template != nullptr) {
    Json messages = Json::array(
        {{{"role", "user"}, {"content", "x"}}, {{"role", "assistant"}, {"content", "x"}}});
    // The last one that follows an answer: some templates end the question with it, too.
    const std::vector<Token> tokens = encode(source, render(source, std::move(messages), false));
    const auto last = std::find_if(tokens.rbegin(), tokens.rend(), is_end);
    if (last != tokens.rend()) return *last;
  }
  if (source.tokenizer->eos()) return source.tokenizer->eos();
  if (!ends.empty()) return ends.front();
  return std::nullopt;
}

bool begins_with(const std::vector<Token>& whole, const std::vector<Token>& beginning) {
  return whole.size() > beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), whole.begin());
}

}  // namespace

std::string message_of(const Question& question, std::string_view text, const Option* option) {
  std::string message = question.instructions;
  if (!question.options.empty()) message += options_text(question);
  message += task_of(question);
  message += "\n\nText:\n";
  message += text;
  if (option != nullptr)
    message += fmt::format("\n\nDoes the option {} apply? Answer Yes or No.", option->label);
  return message;
}

std::vector<Token> prompt_tokens(const PromptSource& source, const std::string& message) {
  return encode(source, render(source, message));
}

std::vector<std::string> labels_of(const Question& question) {
  if (question.type == QuestionType::predicate || question.multiple) return {"Yes", "No"};
  std::vector<std::string> labels;
  for (const Option& option : question.options) labels.push_back(option.label);
  return labels;
}

LabelTokens label_tokens(const PromptSource& source, const std::vector<std::string>& labels) {
  // What a label becomes depends on what stands right before it alone, so a short message will do.
  const std::vector<text::Span> spans = render(source, "x");
  const std::vector<Token> prompt = encode(source, spans);
  LabelTokens result;
  std::vector<std::vector<Token>> whole;
  for (const std::string& label : labels) {
    whole.push_back(answered(source, spans, label));
    result.replaced =
        std::max(result.replaced, prompt.size() - common_length(prompt, whole.back()));
  }
  const auto kept = static_cast<std::ptrdiff_t>(prompt.size() - result.replaced);
  result.replaced_tokens.assign(prompt.begin() + kept, prompt.end());
  for (const auto& tokens : whole) result.labels.emplace_back(tokens.begin() + kept, tokens.end());
  std::optional<Token> end;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (result.labels[i].empty())
      throw Error(Fault::unsupported, fmt::format("the label {} has no tokens in this model",
                                                  base::in_quotes(labels[i])));
    bool continued = false;
    for (std::size_t j = 0; j < labels.size(); ++j) {
      if (j != i && result.labels[j] == result.labels[i])
        throw Error(Fault::unsupported,
                    fmt::format("the labels {} and {} are the same tokens in this model",
                                base::in_quotes(labels[i]), base::in_quotes(labels[j])));
      continued = continued || begins_with(result.labels[j], result.labels[i]);
    }
    if (!continued) continue;
    if (!end) end = end_token(source);
    if (!end)
      throw Error(Fault::unsupported,
                  fmt::format("another label continues {}, and this model has no token that ends "
                              "an answer",
                              base::in_quotes(labels[i])));
    result.labels[i].push_back(*end);
  }
  return result;
}

}  // namespace malina::decide
