#include "tune/classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text_file.h"
#include "eval/blend.h"
#include "model/peft.h"
#include "tune/frozen_features.h"
#include "tune/label_answers.h"
#include "tune/loaded_adapter.h"
#include "tune/manifest_reader.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kRows = 512;  // tokens computed at once, where no text is longer

}  // namespace

ClassifierManifest Classifier::manifest(const std::filesystem::path& directory) {
  const auto path = directory / kManifestName;
  return parse_manifest(base::read_text(path), path.string());
}

bool Classifier::is_one(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(directory / kManifestName, ignored);
}

Classifier::Classifier(const std::filesystem::path& directory,
                       std::shared_ptr<const model::Model> base,
                       std::shared_ptr<const text::Tokenizer> tokenizer, math::CpuDevice& device,
                       const text::ChatTemplate* chat_template, engine::StepArbiter* turns)
    : manifest_(manifest(directory)),
      base_(std::move(base)),
      tokenizer_(std::move(tokenizer)),
      device_(device) {
  const auto load_linear = [&](std::string_view file) {
    const auto path = directory / file;
    auto linear = eval::LinearBaseline::load(path);
    if (!std::equal(linear.labels().begin(), linear.labels().end(), manifest_.labels.begin(),
                    manifest_.labels.end()))
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: its labels are not those of the manifest", path.string()));
    return linear;
  };
  if (manifest_.members != std::vector{Method::linear} &&
      (base_ == nullptr || manifest_.base_digest.empty()))
    throw Error(Fault::corrupt_file,
                fmt::format("{}: it names no base", (directory / kManifestName).string()));
  if (manifest_.uses(Method::linear)) linear_ = load_linear(kLinearName);
  if (manifest_.uses(Method::probe)) probe_ = load_linear(kProbeName);
  if (manifest_.uses(Method::labels)) load_labels(directory, chat_template, turns);
  if (!manifest_.uses(Method::lora)) return;
  model::PeftAdapter peft = model::read_peft(directory, *base_);
  if (peft.tensors.head.labels != manifest_.labels.size() || !peft.tensors.head.bias.empty())
    throw Error(Fault::corrupt_file,
                fmt::format("{}: the head does not fit the labels", directory.string()));
  adapter_ = loaded_adapter(peft.tensors, *base_, device_);
  head_ = std::move(peft.tensors.head);
}

Classifier::~Classifier() = default;

void Classifier::load_labels(const std::filesystem::path& directory,
                             const text::ChatTemplate* chat_template, engine::StepArbiter* turns) {
  const model::PeftAdapter peft = model::read_peft(directory, *base_);
  if (peft.tensors.head)
    throw Error(
        Fault::corrupt_file,
        fmt::format("{}: the adapter has a head, and it is to write labels", directory.string()));
  label_task_ = std::make_shared<LabelTask>(decide::PromptSource{tokenizer_, chat_template},
                                            manifest_.labels, manifest_.instructions,
                                            manifest_.form.max_tokens, base_->sizes().context);
  label_answers_ = std::make_unique<LabelAnswers>(base_, label_task_, peft.tensors, device_, turns);
  takes_turns_ = turns != nullptr;
}

eval::ProbabilityTable Classifier::of_labels(std::span<const std::string> texts,
                                             std::vector<ClassifierAnswer>& answers) {
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    LabelTask::Reading reading = label_task_->read(texts[i]);
    answers[i].truncated = reading.truncated;
    asked.push_back(std::move(reading.text));
  }
  return probabilities_of(label_answers_->scores(asked).value(), manifest_.labels.size(),
                          manifest_.prior);
}

std::vector<std::int32_t> Classifier::tokens(std::string_view text) const {
  if (label_task_) return label_task_->read(text).prompt;
  if (manifest_.base_digest.empty() || tokenizer_ == nullptr) return {};
  return manifest_.form.tokens(*tokenizer_, text).ids;
}

std::vector<TrainingExample> Classifier::encode(std::span<const std::string> texts,
                                                std::vector<ClassifierAnswer>& answers) const {
  std::vector<TrainingExample> examples;
  if (manifest_.base_digest.empty()) return examples;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    TextForm::Tokens read = manifest_.form.tokens(*tokenizer_, texts[i]);
    answers[i].truncated = read.truncated;
    examples.push_back({.tokens = std::move(read.ids), .read_from = read.read_from});
    if (examples.back().tokens.empty())
      throw Error(Fault::invalid_argument, "a text without a token");
  }
  return examples;
}

eval::ProbabilityTable Classifier::probabilities(Method member, std::span<const std::string> texts,
                                                 std::span<const TrainingExample> examples) {
  if (member == Method::linear) return linear_->probabilities(texts, device_.context().pool);
  std::size_t longest = kRows;
  for (const TrainingExample& example : examples)
    longest = std::max(longest, example.tokens.size());
  if (member == Method::probe)
    return probe_->probabilities(
        eval::DenseRows{frozen_features(base_, device_, examples, longest), base_->sizes().width},
        device_.context().pool);
  if (pass_ == nullptr || pass_->max_rows() < longest)
    pass_ = std::make_unique<model::TrainingPass>(
        base_, device_,
        model::TrainingPassOptions{
            .max_rows = longest, .rank = adapter_->options().rank, .recompute = true});
  return with_adapter(examples);
}

eval::ProbabilityTable Classifier::with_adapter(std::span<const TrainingExample> examples) {
  eval::ProbabilityTable table{.classes = head_.labels, .values = {}};
  table.values.resize(examples.size() * head_.labels);
  const bool pooled = manifest_.pooling == Pooling::mean;
  for (std::size_t next = 0; next < examples.size();) {
    std::vector<model::TrainingText> texts;
    std::vector<std::size_t> wanted, counts;
    std::size_t rows = 0;
    while (next + texts.size() < examples.size() &&
           rows + examples[next + texts.size()].tokens.size() <= pass_->max_rows()) {
      texts.push_back({.tokens = examples[next + texts.size()].tokens});
      rows += texts.back().tokens.size();
      counts.push_back(texts.back().tokens.size() - examples[next + texts.size() - 1].read_from);
      for (std::size_t row = pooled ? rows - counts.back() : rows - 1; row < rows; ++row)
        wanted.push_back(row);
    }
    const math::Slice hidden = pass_->forward(texts, adapter_.get(), wanted);
    // Each text's mean takes the place of its first rows: those are read before it is written.
    const math::Slice states = hidden.row_range(0, texts.size());
    if (pooled) mean_of_rows(hidden, counts, states);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const float* state = math::host_floats(states) + i * states.stride;
      const auto row = table.row(next + i);
      for (std::size_t label = 0; label < head_.labels; ++label) {
        double sum = 0;
        for (std::size_t k = 0; k < head_.width; ++k)
          sum += double{head_.weight[label * head_.width + k]} * double{state[k]};
        row[label] = sum;
      }
      eval::softmax(row);
    }
    next += texts.size();
  }
  return table;
}

std::vector<ClassifierAnswer> Classifier::answer(std::span<const std::string> texts) {
  std::vector<ClassifierAnswer> answers(texts.size());
  if (texts.empty()) return answers;
  std::vector<eval::ProbabilityTable> tables;
  std::vector<const eval::ProbabilityTable*> members;
  if (label_answers_) {
    tables.push_back(of_labels(texts, answers));
  } else {
    const auto examples = encode(texts, answers);
    for (const Method member : manifest_.members)
      tables.push_back(probabilities(member, texts, examples));
  }
  for (const auto& table : tables) members.push_back(&table);
  const eval::ProbabilityTable table = eval::with_temperature(
      tables.size() == 1 ? tables.front() : eval::blend(members, manifest_.weights),
      manifest_.calibration.temperature);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto row = table.row(i);
    ClassifierAnswer& answer = answers[i];
    answer.probabilities.assign(row.begin(), row.end());
    answer.answer = eval::likeliest(row);
    // Where no threshold reached the target on validation data, nothing is sure enough.
    answer.abstain = manifest_.calibration.abstains(row);
    answer.set = eval::conformal_set(row, manifest_.calibration.conformal_quantile);
  }
  return answers;
}

}  // namespace malina::tune
