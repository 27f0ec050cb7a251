// A tuning job for a model that writes: from conversations or completions to a low-rank adapter, or
// to a model all of whose weights were trained.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/adapter_tensors.h"
#include "tune/generation_certificate.h"
#include "tune/generation_task.h"
#include "tune/generation_training.h"
#include "tune/training_memory.h"
#include "tune/trial.h"
#include "tune/tuning_plan.h"
#include "tune/tuning_report.h"

namespace malina::tune {

struct GenerationRequest {
  std::vector<std::filesystem::path> training, validation;  // the second may be empty
  ReadOptions reading;
  Recipe recipe;                  // epochs of 0: generation_epochs(); settled by read()
  std::size_t max_tokens = 2048;  // of a row
  bool skip_long = false;         // leave out rows that are longer; otherwise they are refused
  std::size_t patience = 3;
  std::vector<float> search;       // learning rates of an adapter, as Tuning's; empty: none
  bool curve = false;              // of an adapter, for about as many steps again
  std::filesystem::path snapshot;  // empty: none
  std::string base_digest;         // "sha256:..."
};

struct GenerationReport {
  struct Part {
    std::size_t rows = 0, examples = 0, too_long = 0;
    std::uint64_t tokens = 0, learned = 0;
    std::vector<base::Digest> files;
  };
  Part training, validation;
  bool validation_from_training = false;
  std::size_t longest = 0;  // tokens
  std::string licence;
  Trainer::Evaluation before;       // of the validation data by the base alone
  Trainer::Evaluation after;        // with the adapter that was kept
  std::vector<SearchTrial> search;  // in the order in which they ran
  std::vector<EpochReport> history;
  // Where it was asked for: by tokens of the validation rows that are not predicted; none where
  // there are too few rows.
  std::optional<CurveReport> curve;
};

struct GenerationEvents {
  std::function<void(std::string_view stage, std::size_t done, std::size_t total)> stage;
  TrainingEvents training;
};

// What a job starts with where nothing else is asked for: gentler than a classifier's recipe, since
// all that the model writes may change. Its epochs are 0: as generation_epochs() has it. `full`: of
// all weights, with a rate that is lower still.
Recipe generation_recipe(bool full = false);

// 3 for many examples, up to 15 where 3 would be fewer than 200 steps: stopping when the validation
// loss rises ends it before.
std::size_t generation_epochs(std::size_t examples, std::size_t batch);

// What training all weights of a model takes: its weights in float32, as many gradients, two
// moments of AdamW, the best epoch's weights, and what a pass over `rows` tokens computes in.
struct FullTuningMemory {
  std::uint64_t weights = 0, gradients = 0, moments = 0, best = 0, activations = 0;
  std::uint64_t bytes() const { return weights + gradients + moments + best + activations; }
  // Throws base::Error(out_of_memory) with all of these where they are more than `usable`.
  void check(std::uint64_t usable) const;
};
// `checkpoint`: of the base, in any encoding. Throws what model::check_trainable() throws.
FullTuningMemory full_tuning_memory(std::shared_ptr<const format::Checkpoint> checkpoint,
                                    std::size_t rows, bool recompute);

// One thread.
class GenerationTuning {
 public:
  // Where the recipe is full the model is as Trainer wants it.
  GenerationTuning(std::shared_ptr<const model::Model> model, const text::Tokenizer& tokenizer,
                   const text::ChatTemplate* chat_template, math::CpuDevice& device,
                   GenerationRequest request);
  ~GenerationTuning();

  // Throws base::Error as read_generation_data does, and invalid_argument where there are too few
  // rows to hold some back.
  void read();
  // As Tuning::settle_memory. Of an adapter: the whole model's is full_tuning_memory().
  std::uint64_t settle_memory(std::uint64_t most) const;
  // To the end: true. False where the training was paused, as Tuning::run.
  bool run(const GenerationEvents& events);

  // Instead of run(): what that will take, of an adapter. Tries a few steps, unless there is too
  // little memory for it; nothing is written.
  TuningPlan plan(const GenerationEvents& events);
  // The time alone, into a plan that has the memory. Where the recipe is full the model's weights
  // are others afterwards.
  void plan_time(TuningPlan& plan, const GenerationEvents& events);

  const GenerationRequest& request() const { return request_; }
  const GenerationReport& report() const { return report_; }
  const model::AdapterTensors& result() const { return result_; }
  // Files beside the snapshot that it may have written: of no use once it has ended.
  const std::vector<std::filesystem::path>& leftovers() const { return leftovers_; }
  // What it makes of some of the validation rows, which are read again. After run().
  GenerationCertificate certificate();
  // Where the recipe is full, after run() returned true: the model with the best epoch's weights,
  // while this exists.
  const model::TrainableWeights& weights() const { return *weights_; }

 private:
  const std::vector<std::filesystem::path>& validation_files() const {
    return request_.validation.empty() ? request_.training : request_.validation;
  }
  void hold_back();
  std::string origin() const;
  AdapterTrainingOptions training_options() const;
  MemoryParts working_memory() const;
  // generation_findings.cpp
  // What is kept of it: wrong_of() the validation rows. Nothing where it was paused.
  std::optional<TrialResult> trial(const std::string& name, const Recipe& recipe,
                                   std::span<const TrainingExample> examples,
                                   const GenerationEvents& events);
  bool search(const GenerationEvents& events);  // false: paused
  std::vector<std::size_t> curve_rows() const;
  std::size_t curve_epochs(std::size_t examples) const;
  eval::LearningPoint learning_point(std::size_t rows, std::vector<float> wrong) const;
  std::vector<float> wrong_of(const std::vector<Trainer::Evaluation>& each) const;
  std::vector<TrainingExample> examples_of(std::size_t rows) const;
  bool measure_curve(const GenerationEvents& events);  // likewise

  std::shared_ptr<const model::Model> model_;
  math::CpuDevice& device_;
  GenerationRequest request_;
  GenerationForm form_;
  GenerationData training_, validation_;
  std::unique_ptr<GenerationTraining> run_;
  std::vector<std::filesystem::path> leftovers_;
  bool automatic_epochs_ = false;
  GenerationReport report_;
  model::AdapterTensors result_;
  const model::TrainableWeights* weights_ = nullptr;  // run_'s
};

nlohmann::ordered_json report_json(const GenerationReport& report);

// What a card or a record says of where an adapter comes from.
struct GenerationFacts {
  std::string name, base_name, base_digest, base_licence, created, version;
};
// Everything that decides the adapter's bytes, and the report.
nlohmann::ordered_json manifest_json(const GenerationReport& report,
                                     const GenerationRequest& request,
                                     const GenerationFacts& facts);
// README.md, in the form of a model card of Hugging Face.
std::string model_card(const GenerationReport& report, const GenerationRequest& request,
                       const GenerationFacts& facts);

}  // namespace malina::tune
