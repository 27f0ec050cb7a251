// A tuned tagger in use: a directory that tuning wrote, and the base model that it was tuned on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "tune/span_tuning.h"

namespace malina::tune {

inline constexpr std::string_view kSpanFormat = "malina-spans-1";
inline constexpr std::string_view kSpanManifestName = "malina-spans.json";
inline constexpr std::string_view kLinearTaggerName = "linear_tagger.bin";

struct SpanManifest {
  SpanMethod method = SpanMethod::linear;
  std::vector<std::string> types;  // ascending
  SpanForm form;
  SpanCalibration calibration;
  std::string base_digest;  // "sha256:..."; empty where words alone are used
  std::string base_name;
};
// Throws base::Error(corrupt_file, unsupported) naming the key.
SpanManifest parse_span_manifest(std::string_view text, const std::string& name);

struct SpanAnswer {
  std::vector<FoundSpan> spans;  // ascending; calibrated probabilities
  double probability = 0;        // that the whole answer is right
  bool abstain = false;
  bool truncated = false;  // the text was longer than is read of it
};

// One thread at a time. The base must be the model of the manifest's digest (the caller has checked
// that) and may be null where that is empty.
class SpanTagger {
 public:
  // Throws base::Error: not_found, corrupt_file, unsupported, and what read_peft() throws.
  SpanTagger(const std::filesystem::path& directory, std::shared_ptr<const model::Model> base,
             std::shared_ptr<const text::Tokenizer> tokenizer, math::CpuDevice& device);
  ~SpanTagger();

  static SpanManifest manifest(const std::filesystem::path& directory);
  static bool is_one(const std::filesystem::path& directory);

  const SpanManifest& manifest() const { return manifest_; }
  std::vector<SpanAnswer> answer(std::span<const std::string> texts);
  // The same with the probabilities of sequences of tags, at the temperature: what is certified.
  std::vector<SpanAnswer> sequences(std::span<const std::string> texts);
  // What it reads of a text; empty where words alone are used.
  std::vector<text::Token> tokens(std::string_view text) const;

 private:
  std::vector<SpanAnswer> answers_by(const SpanCalibration& calibration,
                                     std::span<const std::string> texts);
  std::vector<ScoredText> scored(std::span<const std::string> texts,
                                 std::vector<SpanAnswer>& answers);
  void run_batch(std::span<const SpanForm::Tokens> read, std::size_t first, std::size_t last,
                 std::vector<ScoredText>& scored);

  SpanManifest manifest_;
  std::shared_ptr<const model::Model> base_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  math::CpuDevice& device_;
  std::optional<eval::LinearTagger> linear_;
  std::unique_ptr<model::TrainableAdapter> adapter_;
  std::unique_ptr<model::TrainingPass> pass_;
  model::ClassificationHead head_;
};

}  // namespace malina::tune
