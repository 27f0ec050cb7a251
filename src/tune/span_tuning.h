// A tuning job for marked spans: from texts with slots to the cheaper of a linear tagger and a
// low-rank adapter with a head on every token that the dearer one does not beat.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/calibration.h"
#include "eval/platt_scaling.h"
#include "eval/statistics.h"
#include "model/adapter_tensors.h"
#include "tune/certificate.h"
#include "tune/paused_fit.h"
#include "tune/span_task.h"
#include "tune/span_training.h"
#include "tune/training_memory.h"
#include "tune/trial.h"
#include "tune/tuning_report.h"

namespace malina::tune {

enum class SpanMethod { automatic, linear, lora };
std::string_view name(SpanMethod method);

struct SpanRequest {
  std::vector<std::filesystem::path> training, validation, test;  // the last two may be empty
  ReadOptions reading;
  SpanMethod method = SpanMethod::automatic;
  Recipe recipe;  // epochs or batch of 0: as automatic_schedule has it; settled by read()
  SpanForm form;
  std::size_t patience = 3;
  std::vector<float> search;  // learning rates, as Tuning's; empty: none
  bool curve = false;         // of the adapter too, for about as many steps again (Tuning's)
  double significance = 0.05;
  double target_accuracy = 0.98;   // of whole answers
  double guarantee = 0;            // of that (eval::fit_abstention)
  std::filesystem::path snapshot;  // empty: none
  std::string base_digest;         // "sha256:..."
};

// How well the spans of many texts were found.
struct SpanMeasures {
  eval::SpanCounts spans;
  eval::Estimate exact;  // texts of which all spans are right and no other is found; Wilson, 95 %
};

struct SpanRung {
  SpanMethod method = SpanMethod::linear;
  SpanMeasures validation;
  double seconds = 0;
  double errors = 0;  // spans that were missed, or found where there is none; mean of a text
  // Against linear: McNemar's exact test on whole texts; Student's paired t-test on their errors.
  std::optional<double> p_value, errors_p_value = {};
};

// Probabilities of the sequences of tags, then of whole answers and of their spans, against how
// often these are right.
struct SpanCalibration {
  double temperature = 1;
  eval::PlattScaling answers = {}, spans = {};

  // The likeliest spans with such probabilities: none is less likely than the whole answer.
  eval::TagAnswer answer_of(const eval::ProbabilityTable& scores) const;
  std::optional<eval::AbstentionThreshold> abstention;  // of whole answers
};

// With its temperature alone: probabilities of sequences of tags.
SpanCalibration sequences_of(const SpanCalibration& calibration);

// Probabilities of whole answers against how often these are right.
struct SpanAnswers {
  double calibration_error = 0;  // expected, in 15 bins (eval::CalibrationMeasures)
  double error_by_chance = 0;
  double risk_coverage_area = 0;
  std::vector<eval::ReliabilityBin> bins = {};
  std::vector<eval::RiskCoveragePoint> risk_coverage = {};  // thinned to kMostPoints
};

struct SpanReport {
  std::vector<std::string> types;
  std::size_t training_rows = 0, validation_rows = 0, test_rows = 0;
  bool validation_from_training = false;
  std::size_t overlapping = 0;  // spans of the training data that were left out
  std::size_t truncated = 0;    // texts, of all parts
  std::vector<base::Digest> training_files, validation_files, test_files;
  std::string licence;
  std::vector<SpanRung> rungs;
  std::size_t chosen = 0;
  std::string reason;
  std::vector<SearchTrial> search;  // in the order in which they ran
  std::vector<EpochReport> history;
  std::vector<StepLoss> losses;  // of the adapter's training, thinned
  // That the chosen tagger has learned from, with those held back; absent: from the training rows
  // alone.
  std::optional<std::size_t> refitted_rows;
  std::string refitting_left_out;  // why, where it was tried; "" otherwise
  SpanCalibration calibration;
  SpanAnswers before, after;  // of validation rows: as they came, and calibrated
  // By whole texts, in the order of rungs: of the linear tagger, and of the adapter where that was
  // asked for; none where there are too few rows.
  std::vector<CurveReport> curves;
  struct Test {
    SpanMeasures chosen, linear;
    double p_value = 1;
    SpanAnswers answers;
    double answered = 0, answered_exact = 0;  // at the abstention threshold
    struct Type {
      std::string name;
      eval::SpanCounts spans;
    };
    std::vector<Type> types;  // of the chosen method
  };
  std::optional<Test> test;

  bool uses_adapter() const { return rungs[chosen].method == SpanMethod::lora; }
};

struct SpanEvents {
  std::function<void(std::string_view stage, std::size_t done, std::size_t total)> stage;
  std::function<void(const SpanRung&)> rung;
  TrainingEvents training;
};

// One text's scores in its units, tokens or words.
struct ScoredText {
  Places places;
  eval::ProbabilityTable scores;
};

// One thread. `model` and `tokenizer` may be null where the method is `linear`.
class SpanTuning {
 public:
  SpanTuning(std::shared_ptr<const model::Model> model, const text::Tokenizer* tokenizer,
             math::CpuDevice& device, SpanRequest request);
  ~SpanTuning();

  // Throws base::Error as read_span_texts does, and invalid_argument where there is no span, or too
  // few rows to hold some back.
  void read();
  // As Tuning::settle_memory.
  std::uint64_t settle_memory(std::uint64_t most) const;
  // To the end: true. False where it was paused, as Tuning::run.
  bool run(const SpanEvents& events);

  // Instead of run(), as Tuning::plan.
  TuningPlan plan(const SpanEvents& events);

  // Files beside the snapshot that it may have written: of no use once it has ended.
  const std::vector<std::filesystem::path>& leftovers() const { return leftovers_; }

  const SpanRequest& request() const { return request_; }
  const SpanReport& report() const { return report_; }
  const eval::LinearTagger& linear() const { return *linear_; }
  const model::AdapterTensors& adapter() const { return *adapter_; }  // where uses_adapter()
  // What the chosen tagger answers to some of the validation texts. After run().
  Certificate certificate() const;

 private:
  struct Part;

  bool climb(const SpanEvents& events);
  void hold_back();
  // span_plan.cpp
  MemoryParts working_memory() const;
  void plan_linear(TuningPlan& plan, const SpanEvents& events) const;
  void plan_adapter(TuningPlan& plan, const SpanEvents& events);
  // Of each word of some of the texts.
  std::vector<std::vector<std::uint32_t>> tags_of(const SpanTexts& data, std::size_t texts) const;
  eval::LinearTagger fitted(const SpanTexts& data);
  void climb_linear(const SpanEvents& events);
  // span_findings.cpp
  std::vector<std::size_t> curve_texts() const;
  eval::LearningPoint learning_point(std::size_t texts, std::span<const ScoredText> scores) const;
  void measure_curve(const SpanEvents& events);
  // Without the job's own snapshot; nothing where it was paused. What is kept of it: which of the
  // validation texts it has wrong.
  std::optional<TrialResult> trial(const std::string& name, const Recipe& recipe,
                                   std::span<const TrainingExample> examples,
                                   const SpanEvents& events);
  bool search(const SpanEvents& events);                 // false: paused
  bool measure_adapter_curve(const SpanEvents& events);  // likewise
  bool climb_adapter(const SpanEvents& events);
  void add_rung(SpanMethod method, double seconds, const SpanEvents& events);
  std::vector<ScoredText> scored(SpanMethod method, const Part& part);
  static std::vector<ScoredText> placed(std::vector<eval::ProbabilityTable> tables,
                                        const Part& part);
  void choose();
  void calibrate();
  // What is chosen learns from the rows that were held back as well: span_refit.cpp.
  bool refit(const SpanEvents& events);
  void refit_linear(const SpanEvents& events);
  bool retrains() const;
  bool retrain(const SpanEvents& events);
  void begin_retraining();
  void keep_first(std::string why);
  AdapterTrainingOptions training_options() const;
  void scale(std::span<const ScoredText> scores, std::span<const std::size_t> rows);
  void test();
  std::string origin() const;

  std::shared_ptr<const model::Model> model_;
  const text::Tokenizer* tokenizer_;
  math::CpuDevice& device_;
  SpanRequest request_;
  std::unique_ptr<Part> training_, validation_, test_;
  std::unique_ptr<SpanTraining> run_, retraining_;
  AdapterTraining::Parameters first_best_;     // while retraining_ is there
  std::vector<TrainingExample> all_examples_;  // of training and validation, for retraining_
  std::vector<std::filesystem::path> leftovers_;
  bool automatic_epochs_ = false;
  FitPause pause_;
  std::optional<eval::LinearTagger> linear_;
  std::optional<model::AdapterTensors> adapter_;
  std::vector<std::vector<ScoredText>> validation_scores_;  // of each rung
  SpanReport report_;
};

nlohmann::ordered_json report_json(const SpanReport& report);

// What a card or a record says of where a tagger comes from.
struct SpanFacts {
  std::string name, base_name, base_digest, base_licence, created, version;
};
nlohmann::ordered_json manifest_json(const SpanReport& report, const SpanRequest& request,
                                     const SpanFacts& facts);
// README.md, in the form of a model card of Hugging Face.
std::string model_card(const SpanReport& report, const SpanRequest& request,
                       const SpanFacts& facts);

}  // namespace malina::tune
