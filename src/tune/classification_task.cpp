#include "tune/classification_task.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/quote.h"

namespace malina::tune {

using base::Error;
using base::Fault;

TextForm::Tokens TextForm::tokens(const text::Tokenizer& tokenizer, std::string_view text) const {
  Tokens result;
  result.ids = tokenizer.encode(text, {.add_bos = tokenizer.adds_bos(), .parse_special = false});
  result.truncated = result.ids.size() + 1 > max_tokens;
  if (result.truncated) result.ids.resize(max_tokens - 1);
  if (twice) {
    const auto line_end = tokenizer.encode("\n"), again = tokenizer.encode(text);
    if (result.ids.size() + line_end.size() + again.size() + 1 <= max_tokens) {
      result.ids.insert(result.ids.end(), line_end.begin(), line_end.end());
      result.read_from = result.ids.size();
      result.ids.insert(result.ids.end(), again.begin(), again.end());
    }
  }
  if (tokenizer.eos().has_value()) result.ids.push_back(*tokenizer.eos());
  return result;
}

LabelledTexts LabelledTexts::subset(std::span<const std::size_t> rows) const {
  LabelledTexts part;
  part.licence = licence;
  for (const std::size_t row : rows) {
    part.texts.push_back(texts[row]);
    part.labels.push_back(labels[row]);
    part.places.push_back(places[row]);
  }
  return part;
}

namespace {

void add_row(LabelledTexts& data, const std::filesystem::path& path, Row row) {
  const auto fail = [&](std::uint64_t line, const std::string& what) {
    throw Error(Fault::invalid_argument, fmt::format("{}, line {}: {}", path.string(), line, what));
  };
  if (const auto* error = std::get_if<DatasetError>(&row)) fail(error->place.line, error->what);
  Example& example = std::get<Example>(row);
  Classification* content = std::get_if<Classification>(&example.content);
  if (content == nullptr) fail(example.place.line, "a classifier needs a text and its label");
  if (content->labels.size() != 1 || content->multiple)
    fail(example.place.line,
         fmt::format("{} labels, and a classifier learns exactly one", content->labels.size()));
  if (content->text.empty()) fail(example.place.line, "an empty text");
  if (data.licence.empty()) data.licence = example.licence;
  data.texts.push_back(std::move(content->text));
  data.labels.push_back(std::move(content->labels.front()));
  data.places.push_back({data.files.size(), example.place.line});
}

}  // namespace

LabelledTexts read_labelled_texts(std::span<const std::filesystem::path> files,
                                  const ReadOptions& options) {
  LabelledTexts data;
  for (const auto& path : files) {
    ExampleReader reader(path, options);
    while (auto row = reader.next()) add_row(data, path, std::move(*row));
    data.files.push_back(base::digest_file(reader.file()));
  }
  if (data.texts.empty())
    throw Error(Fault::invalid_argument,
                files.empty() ? "no data" : fmt::format("{}: no row", files.front().string()));
  return data;
}

std::vector<std::uint32_t> classes_of(std::span<const std::string> labels,
                                      std::span<const std::string> names) {
  std::vector<std::uint32_t> classes;
  for (const std::string& label : labels) {
    const auto found = std::lower_bound(names.begin(), names.end(), label);
    if (found == names.end() || *found != label)
      throw Error(
          Fault::invalid_argument,
          fmt::format("the label {} does not occur in the training data", base::in_quotes(label)));
    classes.push_back(static_cast<std::uint32_t>(found - names.begin()));
  }
  return classes;
}

ClassificationExamples classification_examples(const LabelledTexts& data,
                                               std::span<const std::uint32_t> classes,
                                               const TextForm& form,
                                               const text::Tokenizer& tokenizer) {
  ClassificationExamples result;
  for (std::size_t i = 0; i < data.size(); ++i) {
    TextForm::Tokens read = form.tokens(tokenizer, data.texts[i]);
    TrainingExample example{.tokens = std::move(read.ids), .read_from = read.read_from};
    if (example.tokens.empty())
      throw Error(Fault::invalid_argument,
                  fmt::format("the text {} has no token", base::in_quotes(data.texts[i])));
    example.targets.assign(example.tokens.size(), -1);
    example.targets.back() = static_cast<std::int32_t>(classes[i]);
    result.truncated += read.truncated ? 1 : 0;
    result.longest = std::max(result.longest, example.tokens.size());
    result.examples.push_back(std::move(example));
  }
  return result;
}

}  // namespace malina::tune
