#include "tune/label_task.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/quote.h"
#include "text/unicode.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kLeastText = 16;  // tokens; with less nothing can be told apart

std::shared_ptr<const decide::Question> question_of(const std::vector<std::string>& labels,
                                                    const std::string& instructions) {
  const decide::Json choice{
      {"type", "choice"}, {"instructions", instructions}, {"choices", labels}};
  return std::make_shared<decide::Question>(decide::parse_questions(choice, "labels").front());
}

}  // namespace

LabelTask::LabelTask(decide::PromptSource source, const std::vector<std::string>& labels,
                     const std::string& instructions, std::size_t max_tokens, std::size_t context)
    : source_(std::move(source)), scorer_(source_, question_of(labels, instructions), context) {
  const std::size_t around = scorer_.prompts_of("x").front().size() + scorer_.longest_label();
  if (around + kLeastText > context)
    throw Error(Fault::unsupported,
                fmt::format("a question with these {} labels takes {} tokens, and the context of "
                            "this model holds {}",
                            labels.size(), around, context));
  text_tokens_ = std::min(max_tokens, context - around);
  context_ = around + text_tokens_;
  // What stands for no text, where the prior is measured, must have its place too.
  for (const std::string_view text : decide::kContentFree)
    context_ =
        std::max(context_, scorer_.prompts_of(text).front().size() + scorer_.longest_label());
}

// What ends within a character ends before it.
std::string LabelTask::beginning(std::span<const std::int32_t> tokens, std::size_t count) const {
  std::string text = source_.tokenizer->decode(tokens.first(count));
  std::size_t whole = 0;
  while (whole < text.size()) {
    const std::size_t length = text::valid_character(std::string_view(text).substr(whole));
    if (length == 0) break;
    whole += length;
  }
  text.resize(whole);
  return text;
}

LabelTask::Reading LabelTask::read(std::string_view text) const {
  Reading reading{.text = std::string(text), .prompt = {}};
  const std::vector<std::int32_t> own = source_.tokenizer->encode(text, {.parse_special = false});
  // Within a prompt a text may be other tokens than alone: what is too much is taken off again.
  for (std::size_t kept = text_tokens_;;) {
    if (own.size() > kept) {
      reading.text = beginning(own, kept);
      reading.truncated = true;
    }
    reading.prompt = std::move(scorer_.prompts_of(reading.text).front());
    const std::size_t needed = reading.prompt.size() + scorer_.longest_label();
    if (needed <= context_) return reading;
    kept = std::min(kept, own.size());
    if (needed - context_ >= kept)
      throw Error(Fault::invalid_argument,
                  fmt::format("the text {} cannot be cut to the {} tokens that are read of a text",
                              base::in_quotes(std::string(text)), text_tokens_));
    kept -= needed - context_;
  }
}

TrainingExample LabelTask::example(const Reading& reading, std::size_t label) const {
  const auto& written = scorer_.tokens_of_labels()[label];
  TrainingExample example{.tokens = reading.prompt};
  example.targets.assign(reading.prompt.size() - 1, -1);
  example.tokens.insert(example.tokens.end(), written.begin(), written.end() - 1);
  example.targets.insert(example.targets.end(), written.begin(), written.end());
  return example;
}

}  // namespace malina::tune
