// A tuned classifier in use: a directory that tuning wrote, and the base model that it was tuned
// on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/probability_table.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "tune/classifier_manifest.h"

namespace malina::text {
class ChatTemplate;
}

namespace malina::engine {
class StepArbiter;
}

namespace malina::tune {

class LabelAnswers;
class LabelTask;

struct ClassifierAnswer {
  std::size_t answer = 0;             // index of the likeliest label
  std::vector<double> probabilities;  // calibrated, [labels], sum 1
  bool abstain = false;               // below the threshold that validation data gave
  std::vector<std::uint32_t> set;     // conformal: holds the right label as often as it was set to
  bool truncated = false;             // the text was longer than the classifier reads
};

// One thread at a time. The base must be the model of the manifest's digest (the caller has checked
// that) and may be null where that is empty.
class Classifier {
 public:
  // Reads the manifest and what stands beside it. Throws base::Error: not_found, corrupt_file,
  // unsupported, and what read_peft() throws. `chat_template`: of the base, with which labels are
  // asked for; null where it has none; borrowed. `turns`: the processor's, see takes_turns(); it
  // must outlive the classifier.
  Classifier(const std::filesystem::path& directory, std::shared_ptr<const model::Model> base,
             std::shared_ptr<const text::Tokenizer> tokenizer, math::CpuDevice& device,
             const text::ChatTemplate* chat_template = nullptr,
             engine::StepArbiter* turns = nullptr);
  ~Classifier();

  static ClassifierManifest manifest(const std::filesystem::path& directory);
  // Whether the directory holds one.
  static bool is_one(const std::filesystem::path& directory);

  const ClassifierManifest& manifest() const { return manifest_; }
  // True: it takes a turn of the processor for each step of its own, since all labels after a text
  // take long, and whoever asks must not hold one. False: whoever asks holds the turn.
  bool takes_turns() const { return takes_turns_; }
  // What the base reads of a text; empty where there is none.
  std::vector<std::int32_t> tokens(std::string_view text) const;
  // Of several texts at once, packed into batches.
  std::vector<ClassifierAnswer> answer(std::span<const std::string> texts);

 private:
  eval::ProbabilityTable probabilities(Method member, std::span<const std::string> texts,
                                       std::span<const TrainingExample> examples);
  std::vector<TrainingExample> encode(std::span<const std::string> texts,
                                      std::vector<ClassifierAnswer>& answers) const;
  eval::ProbabilityTable with_adapter(std::span<const TrainingExample> examples);
  void load_labels(const std::filesystem::path& directory, const text::ChatTemplate* chat_template,
                   engine::StepArbiter* turns);
  eval::ProbabilityTable of_labels(std::span<const std::string> texts,
                                   std::vector<ClassifierAnswer>& answers);

  ClassifierManifest manifest_;
  std::shared_ptr<const model::Model> base_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  math::CpuDevice& device_;
  std::optional<eval::LinearBaseline> linear_, probe_;
  std::unique_ptr<model::TrainableAdapter> adapter_;
  std::unique_ptr<model::TrainingPass> pass_;
  model::ClassificationHead head_;
  std::shared_ptr<const LabelTask> label_task_;
  std::unique_ptr<LabelAnswers> label_answers_;
  bool takes_turns_ = false;
};

}  // namespace malina::tune
