#include "tune/generation_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using text::Span;
using text::Token;
using Json = nlohmann::ordered_json;

namespace {

// What follows the first `bytes` bytes.
std::vector<Span> after(const std::vector<Span>& spans, std::size_t bytes) {
  std::vector<Span> rest;
  for (const Span& span : spans) {
    const std::size_t skipped = std::min(bytes, span.text.size());
    bytes -= skipped;
    if (skipped < span.text.size()) rest.push_back({span.text.substr(skipped), span.trusted});
  }
  return rest;
}

bool begins_with(std::span<const Token> tokens, std::span<const Token> beginning) {
  return tokens.size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), tokens.begin());
}

// The tokens of an answer after its prompt: up to the first that ends it, which is added where
// there is none.
std::vector<Token> answer_tokens(std::vector<Token> tokens, const text::Tokenizer& tokenizer) {
  const auto ends = tokenizer.end_tokens();
  const auto end = std::find_first_of(tokens.begin(), tokens.end(), ends.begin(), ends.end());
  if (end != tokens.end()) {
    tokens.erase(end + 1, tokens.end());
  } else if (tokenizer.eos()) {
    tokens.push_back(*tokenizer.eos());
  }
  return tokens;
}

// An example while it grows by turns.
struct Growing {
  std::vector<Token> tokens;
  std::vector<float> weights;  // of each token as a target

  void add(std::span<const Token> more, float weight) {
    tokens.insert(tokens.end(), more.begin(), more.end());
    weights.resize(tokens.size(), weight);
  }

  // The last token has nothing after it: it is a target alone.
  void finish(std::vector<TrainingExample>& examples) const {
    if (tokens.size() < 2) return;
    TrainingExample example;
    example.tokens.assign(tokens.begin(), tokens.end() - 1);
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      example.targets.push_back(weights[i] > 0 ? tokens[i] : -1);
      example.weights.push_back(weights[i]);
    }
    if (example.trained() > 0) examples.push_back(std::move(example));
  }
};

std::vector<TrainingExample> completion_examples(const Completion& row,
                                                 const text::Tokenizer& tokenizer) {
  const text::EncodeOptions options{.add_bos = tokenizer.adds_bos(), .parse_special = false};
  const std::vector<Token> prompt = tokenizer.encode(row.prompt, options);
  const std::vector<Token> whole = tokenizer.encode(row.prompt + row.completion, options);
  Growing growing;
  growing.add(prompt, 0);
  // Where prompt and answer would share a token the prompt keeps its own, as it is given later.
  growing.add(answer_tokens(
                  begins_with(whole, prompt)
                      ? std::vector<Token>(
                            whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()), whole.end())
                      : tokenizer.encode(row.completion),
                  tokenizer),
              1);
  std::vector<TrainingExample> examples;
  growing.finish(examples);
  return examples;
}

class ConversationEncoder {
 public:
  ConversationEncoder(const Conversation& row, const GenerationForm& form)
      : row_(row),
        tokenizer_(*form.tokenizer),
        template_(*form.chat_template),
        messages_(template_messages(row)) {}

  std::vector<TrainingExample> examples() {
    std::vector<TrainingExample> result;
    Growing growing;
    for (std::size_t turn = 0; turn < row_.messages.size(); ++turn) {
      const float weight = row_.messages[turn].weight;
      if (!(weight > 0)) continue;
      const std::vector<Span> asked = render(turn, true), answered = render(turn + 1, false);
      const std::vector<Token> prompt = encode(asked);
      if (!begins_with(prompt, growing.tokens)) {
        growing.finish(result);
        growing = {};
      }
      growing.add(std::span(prompt).subspan(growing.tokens.size()), 0);
      growing.add(answer(asked, answered, prompt, turn), weight);
    }
    growing.finish(result);
    return result;
  }

 private:
  std::vector<Span> render(std::size_t count, bool asks) const {
    const auto piece = [&](std::optional<Token> token) {
      return token ? std::string(tokenizer_.piece(*token)) : std::string();
    };
    text::TemplateInput input;
    input.messages = Json::array();
    for (std::size_t i = 0; i < count; ++i) input.messages.push_back(messages_[i]);
    input.tools = row_.tools;
    input.add_generation_prompt = asks;
    input.bos_token = piece(tokenizer_.bos());
    input.eos_token = piece(tokenizer_.eos());
    return template_.render(input);
  }

  std::vector<Token> encode(const std::vector<Span>& spans) const {
    return tokenizer_.encode(spans, {.add_bos = tokenizer_.adds_bos()});
  }

  std::vector<Token> answer(const std::vector<Span>& asked, const std::vector<Span>& answered,
                            const std::vector<Token>& prompt, std::size_t turn) const {
    const std::string question = text::join(asked);
    if (text::join(answered).compare(0, question.size(), question) != 0)
      throw Error(Fault::invalid_argument,
                  fmt::format("the chat template writes the answer of message {} otherwise than it "
                              "asks for it, so that it cannot be learned",
                              turn + 1));
    const std::vector<Token> whole = encode(answered);
    if (begins_with(whole, prompt))
      return answer_tokens(
          {whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()), whole.end()}, tokenizer_);
    return answer_tokens(tokenizer_.encode(after(answered, question.size())), tokenizer_);
  }

  const Conversation& row_;
  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate& template_;
  const Json messages_;
};

class DataCollector {
 public:
  DataCollector(const GenerationForm& form, bool skip_long) : form_(form), skip_long_(skip_long) {}

  void add(const std::filesystem::path& path, const Row& row) {
    if (const auto* error = std::get_if<DatasetError>(&row)) fail(path, error->place, error->what);
    const Example& example = std::get<Example>(row);
    ++data.rows;
    std::vector<TrainingExample> examples;
    try {
      examples = generation_examples(example, form_);
    } catch (const Error& error) {
      if (error.fault() != Fault::invalid_argument) throw;
      fail(path, example.place, error.what());
    }
    if (examples.empty()) fail(path, example.place, "there is nothing to learn in it");
    const std::size_t longest = longest_of(examples);
    if (longest > form_.max_tokens && !skip_long_)
      fail(path, example.place,
           fmt::format("{} tokens, and --max-tokens is {}: raise it, or leave such rows out with "
                       "--skip-long",
                       longest, form_.max_tokens));
    if (longest > form_.max_tokens) {
      ++data.too_long;
      return;
    }
    keep(std::move(examples));
    if (data.licence.empty()) data.licence = example.licence;
  }

  GenerationData data;

 private:
  [[noreturn]] static void fail(const std::filesystem::path& path, const RowPlace& place,
                                std::string_view what) {
    throw Error(Fault::invalid_argument,
                fmt::format("{}, line {}: {}", path.string(), place.line, what));
  }

  static std::size_t longest_of(const std::vector<TrainingExample>& examples) {
    std::size_t longest = 0;
    for (const TrainingExample& one : examples) longest = std::max(longest, one.tokens.size());
    return longest;
  }

  void keep(std::vector<TrainingExample> examples) {
    data.longest = std::max(data.longest, longest_of(examples));
    for (TrainingExample& one : examples) {
      data.tokens += one.tokens.size();
      data.learned += one.trained();
      data.rows_of.push_back(data.rows - 1);
      data.examples.push_back(std::move(one));
    }
  }

  const GenerationForm& form_;
  bool skip_long_;
};

}  // namespace

std::vector<TrainingExample> generation_examples(const Example& example,
                                                 const GenerationForm& form) {
  if (const Completion* completion = example.completion())
    return completion_examples(*completion, *form.tokenizer);
  if (const Conversation* conversation = example.conversation()) {
    if (form.chat_template == nullptr)
      throw Error(Fault::unsupported,
                  "the model has no chat template, and the data set has conversations");
    return ConversationEncoder(*conversation, form).examples();
  }
  throw Error(Fault::invalid_argument, "a label, where an answer is to be learned");
}

GenerationData read_generation_data(std::span<const std::filesystem::path> files,
                                    const GenerationForm& form, const ReadOptions& options,
                                    bool skip_long) {
  DataCollector collector(form, skip_long);
  for (const auto& path : files) {
    ExampleReader reader(path, options);
    while (const auto row = reader.next()) collector.add(path, *row);
    collector.data.files.push_back(base::digest_file(reader.file()));
  }
  if (collector.data.examples.empty())
    throw Error(Fault::invalid_argument,
                files.empty() ? "no data"
                : collector.data.too_long > 0
                    ? fmt::format("all {} rows are longer than --max-tokens ({})",
                                  collector.data.too_long, form.max_tokens)
                    : fmt::format("{}: no row", files.front().string()));
  return std::move(collector.data);
}

}  // namespace malina::tune
