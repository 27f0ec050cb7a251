#include "tune/data/example_text.h"

#include <algorithm>

namespace malina::tune {

namespace {

void add_line(std::string& text, std::string_view line) {
  if (!text.empty()) text.push_back('\n');
  text += line;
}

}  // namespace

std::string question_of(const Example& example) {
  if (const auto* one = example.classification()) return one->text;
  if (const auto* one = example.completion())
    return one->prompt.empty() ? one->completion : one->prompt;
  std::string text;
  for (const Message& message : example.conversation()->messages)
    if (message.role == "user") add_line(text, message.content);
  return text;
}

std::string answer_of(const Example& example) {
  if (const auto* one = example.completion())
    return one->prompt.empty() ? std::string() : one->completion;
  std::string text;
  if (const auto* one = example.classification()) {
    auto labels = one->labels;
    std::sort(labels.begin(), labels.end());
    for (const std::string& label : labels) add_line(text, label);
    return text;
  }
  for (const Message& message : example.conversation()->messages) {
    if (message.weight == 0) continue;
    add_line(text, message.content);
    if (message.fields.contains("tool_calls")) add_line(text, message.fields["tool_calls"].dump());
  }
  return text;
}

std::string whole_text(const Example& example) {
  if (const auto* one = example.classification()) return one->text;
  if (const auto* one = example.completion()) return one->prompt + "\n" + one->completion;
  std::string text;
  for (const Message& message : example.conversation()->messages) {
    add_line(text, message.content);
    if (message.fields.contains("tool_calls")) add_line(text, message.fields["tool_calls"].dump());
  }
  return text;
}

}  // namespace malina::tune
