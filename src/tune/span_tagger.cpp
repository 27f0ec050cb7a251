#include "tune/span_tagger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text_file.h"
#include "model/peft.h"
#include "tune/loaded_adapter.h"
#include "tune/manifest_reader.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kRows = 512;  // tokens computed at once, where no text is longer

}  // namespace

SpanManifest parse_span_manifest(std::string_view text, const std::string& name) {
  const Json json = base::parse_json<Json>(text, name, {.bytes = std::size_t{64} << 20});
  const ManifestReader reader(json, name);
  if (reader.text("format") != kSpanFormat)
    throw Error(Fault::unsupported,
                fmt::format("{}: it is not of the format '{}'", name, kSpanFormat));
  SpanManifest manifest;
  const std::string method = reader.text("method");
  if (method != tune::name(SpanMethod::linear) && method != tune::name(SpanMethod::lora))
    reader.fail("method", "is none that this program knows");
  manifest.method =
      method == tune::name(SpanMethod::linear) ? SpanMethod::linear : SpanMethod::lora;
  for (const Json& type : reader.at("types", Json::value_t::array)) {
    if (!type.is_string()) reader.fail("types", "holds something that is no text");
    manifest.types.push_back(type);
  }
  if (manifest.types.empty() || std::adjacent_find(manifest.types.begin(), manifest.types.end(),
                                                   std::greater_equal<>()) != manifest.types.end())
    reader.fail("types", "are not one or more in ascending order");
  manifest.form.max_tokens =
      static_cast<std::size_t>(reader.object("text").number("max_tokens", 3, 1 << 24));
  const ManifestReader calibration = reader.object("calibration");
  manifest.calibration.temperature =
      calibration.number("temperature", eval::kLeastTemperature, eval::kMostTemperature);
  // Without them in what was made before there were any.
  const auto scaling = [&](const char* key, eval::PlattScaling& into) {
    if (!json.at("calibration").contains(key)) return;
    const ManifestReader stored = calibration.object(key);
    into = {.slope = stored.number("slope", eval::kLeastPlattSlope, eval::kMostPlattSlope),
            .offset = stored.number("offset", -eval::kMostPlattOffset, eval::kMostPlattOffset)};
  };
  scaling("answers", manifest.calibration.answers);
  scaling("spans", manifest.calibration.spans);
  if (const Json& stored = json.at("calibration");
      stored.contains("abstention") && !stored.at("abstention").is_null()) {
    const ManifestReader abstention = calibration.object("abstention");
    manifest.calibration.abstention = {.threshold = abstention.number("threshold", 0, 1),
                                       .coverage = abstention.number("coverage", 0, 1),
                                       .accuracy = abstention.number("accuracy", 0, 1)};
  }
  manifest.base_digest = reader.object("base").text("digest");
  manifest.base_name = reader.object("base").text("name");
  return manifest;
}

SpanManifest SpanTagger::manifest(const std::filesystem::path& directory) {
  const auto path = directory / kSpanManifestName;
  return parse_span_manifest(base::read_text(path), path.string());
}

bool SpanTagger::is_one(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(directory / kSpanManifestName, ignored);
}

SpanTagger::SpanTagger(const std::filesystem::path& directory,
                       std::shared_ptr<const model::Model> base,
                       std::shared_ptr<const text::Tokenizer> tokenizer, math::CpuDevice& device)
    : manifest_(manifest(directory)),
      base_(std::move(base)),
      tokenizer_(std::move(tokenizer)),
      device_(device) {
  const std::size_t tags = eval::tag_count(manifest_.types.size());
  if (manifest_.method == SpanMethod::linear) {
    const auto path = directory / kLinearTaggerName;
    linear_ = eval::LinearTagger::parse(base::read_text(path), path.string());
    if (linear_->types() != manifest_.types.size())
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: its tags are not those of the manifest", path.string()));
    return;
  }
  if (base_ == nullptr)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: it names no base", (directory / kSpanManifestName).string()));
  model::PeftAdapter peft = model::read_peft(directory, *base_);
  if (peft.tensors.head.labels != tags || !peft.tensors.head.bias.empty())
    throw Error(Fault::corrupt_file,
                fmt::format("{}: the head does not fit the types", directory.string()));
  adapter_ = loaded_adapter(peft.tensors, *base_, device_);
  head_ = std::move(peft.tensors.head);
}

SpanTagger::~SpanTagger() = default;

void SpanTagger::run_batch(std::span<const SpanForm::Tokens> read, std::size_t first,
                           std::size_t last, std::vector<ScoredText>& scored) {
  std::vector<model::TrainingText> texts;
  std::vector<std::size_t> wanted;
  std::size_t rows = 0;
  for (std::size_t i = first; i < last; ++i) {
    texts.push_back({.tokens = read[i].ids});
    for (std::size_t k = read[i].read_from; k < read[i].ids.size(); ++k) wanted.push_back(rows + k);
    rows += read[i].ids.size();
  }
  const math::Slice hidden = pass_->forward(texts, adapter_.get(), wanted);
  const float* state = math::host_floats(hidden);
  for (std::size_t i = first; i < last; ++i) {
    scored[i] = {read[i].places, {.classes = head_.labels, .values = {}}};
    for (std::size_t k = read[i].read_from; k < read[i].ids.size(); ++k, state += hidden.stride)
      for (std::size_t tag = 0; tag < head_.labels; ++tag) {
        double sum = 0;
        for (std::size_t c = 0; c < head_.width; ++c)
          sum += double{head_.weight[tag * head_.width + c]} * double{state[c]};
        scored[i].scores.values.push_back(sum);
      }
  }
}

std::vector<ScoredText> SpanTagger::scored(std::span<const std::string> texts,
                                           std::vector<SpanAnswer>& answers) {
  std::vector<ScoredText> result(texts.size());
  if (linear_) {
    for (std::size_t i = 0; i < texts.size(); ++i)
      result[i] = {eval::words_of(texts[i]), linear_->scores(texts[i])};
    return result;
  }
  std::vector<SpanForm::Tokens> read;
  std::size_t longest = kRows;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    read.push_back(manifest_.form.tokens(*tokenizer_, texts[i]));
    answers[i].truncated = read.back().truncated;
    longest = std::max(longest, read.back().ids.size());
  }
  if (pass_ == nullptr || pass_->max_rows() < longest)
    pass_ = std::make_unique<model::TrainingPass>(
        base_, device_,
        model::TrainingPassOptions{
            .max_rows = longest, .rank = adapter_->options().rank, .recompute = true});
  for (std::size_t first = 0; first < read.size();) {
    std::size_t last = first, rows = 0;
    while (last < read.size() && rows + read[last].ids.size() <= pass_->max_rows())
      rows += read[last++].ids.size();
    run_batch(read, first, last, result);
    first = last;
  }
  return result;
}

std::vector<text::Token> SpanTagger::tokens(std::string_view text) const {
  if (linear_) return {};
  return manifest_.form.tokens(*tokenizer_, text).ids;
}

std::vector<SpanAnswer> SpanTagger::answer(std::span<const std::string> texts) {
  return answers_by(manifest_.calibration, texts);
}

std::vector<SpanAnswer> SpanTagger::sequences(std::span<const std::string> texts) {
  return answers_by(sequences_of(manifest_.calibration), texts);
}

std::vector<SpanAnswer> SpanTagger::answers_by(const SpanCalibration& calibration,
                                               std::span<const std::string> texts) {
  std::vector<SpanAnswer> answers(texts.size());
  if (texts.empty()) return answers;
  const auto scores = scored(texts, answers);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const eval::TagAnswer tags = calibration.answer_of(scores[i].scores);
    answers[i].spans = found_spans(tags.spans, scores[i].places, texts[i]);
    answers[i].probability = tags.probability;
    // Where no threshold reached the target on validation data, nothing is sure enough.
    answers[i].abstain =
        !calibration.abstention || tags.probability < calibration.abstention->threshold;
  }
  return answers;
}

}  // namespace malina::tune
