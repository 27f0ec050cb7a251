// A tuning job: from labelled texts to the cheapest classifier that no dearer one beats.
//
// The ladder: a linear model on TF-IDF of the words (always trained, it is the measure of all
// others), a linear probe on the frozen model's features, both together, a low-rank adapter with a
// head, all three together (eval/blend.h), a low-rank adapter that writes the label. A dearer rung
// is taken only where it beats a cheaper one on the validation data (tuning_part.h).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/stopwatch.h"
#include "eval/linear_baseline.h"
#include "model/adapter_tensors.h"
#include "tune/certificate.h"
#include "tune/classification_task.h"
#include "tune/paused_fit.h"
#include "tune/trial.h"
#include "tune/tuning_plan.h"
#include "tune/tuning_report.h"

namespace malina::text {
class ChatTemplate;
}

namespace malina::tune {

class LabelAnswers;
class LabelTask;
class LabelTraining;

struct TuningRequest {
  std::vector<std::filesystem::path> training, validation, test;  // the last two may be empty
  ReadOptions reading;
  Method method = Method::automatic;
  Method up_to = Method::labels;  // the dearest that `automatic` tries: probe, lora or labels
  Recipe recipe;  // epochs or batch of 0: as automatic_schedule has it; settled by read()
  TextForm form;
  // Reads texts twice and takes the mean of their states where there are few rows
  // (reads_twice()), whatever `form` and `recipe` say.
  bool automatic_reading = false;
  std::size_t patience = 3;
  double significance = 0.05;            // what a dearer rung must reach
  eval::CalibrationOptions calibration;  // `out_of_scope` is found by read()
  // A label of texts that no other label is meant for: the threshold is set to recognise them, and
  // whoever is answered with it abstains. Empty: there is none.
  std::string out_of_scope = {};
  // Learning curves of baseline and probe are always measured; true: the adapter's as well, for
  // about the time of its training.
  bool curve = false;
  // Learning rates of the adapter with a head, to be tried in short trainings before the whole one,
  // by successive halving (Jamieson and Talwalkar, 2016); empty: the recipe's alone. The adapter
  // that writes labels has the recipe's in any case: it is other parameters and another loss.
  std::vector<float> search;
  std::filesystem::path snapshot;  // of the adapter's training; empty: none
  std::string base_digest;         // "sha256:..."
  // Of the base, for `labels`; null where it has none (decide::PromptSource). Borrowed.
  const text::ChatTemplate* chat_template = nullptr;
};

struct RungRows;  // tuning_part.h

// What was chosen, to be kept: the baseline is always there.
struct TunedClassifier {
  std::optional<eval::LinearBaseline> linear, probe;
  std::optional<model::AdapterTensors> adapter;
  std::optional<model::AdapterTensors> label_adapter;
};

struct TuningEvents {
  // Where it has parts that are counted, `total` is more than 1.
  std::function<void(std::string_view stage, std::size_t done, std::size_t total)> stage;
  std::function<void(const Rung&)> rung;
  TrainingEvents training;
};

// One thread. `model` may be null where the method is `linear`.
class Tuning {
 public:
  Tuning(std::shared_ptr<const model::Model> model, const text::Tokenizer* tokenizer,
         math::CpuDevice& device, TuningRequest request);
  Tuning(Tuning&&) noexcept;
  ~Tuning();

  // Reads the data; throws base::Error as read_labelled_texts does, and invalid_argument where
  // there are fewer than two labels, or too few rows to hold some back.
  void read();
  // What run() takes at its peak, in bytes beside model and data, of which it may take `most`:
  // throws base::Error(out_of_memory) where it needs more. In `automatic` labels are left out where
  // they alone would.
  std::uint64_t settle_memory(std::uint64_t most);
  // To the end: true. False where it was paused, in training or while texts are scored; then it can
  // be run again, or by another process from its snapshot. Where that came in a fit of baseline or
  // probe, of which nothing is kept, only another can: this one throws base::Error(internal).
  bool run(const TuningEvents& events);

  // Instead of run(): what that will take. Tries a few steps, and fits on a few texts, unless there
  // is too little memory for it; nothing of it is kept, nothing is written.
  TuningPlan plan(const TuningEvents& events);

  // Files beside the snapshot that it may have written: of no use once it has ended.
  const std::vector<std::filesystem::path>& leftovers() const { return trial_files_; }

  // As it was carried out: what depends on model and data is settled by read().
  const TuningRequest& request() const { return request_; }
  const TuningReport& report() const { return report_; }
  const TunedClassifier& result() const { return result_; }
  // Of validation texts, evenly taken. After run() returned true.
  Certificate certificate();

 private:
  struct Part;
  class Planner;  // tuning_planner.h

  bool climb(const TuningEvents& events);
  void split();
  void find_scope();
  void gather();
  void encode();
  void add_rung(Rung rung, const TuningEvents& events);
  RungRows rung_rows() const;
  // False where it was paused; what was trained stays.
  bool add_member(Method method, double seconds, const TuningEvents& events);
  // Of the baseline or the probe, `all` being of the rows in turn; empty where they have no turns.
  void add_cheap(Method method, eval::ProbabilityTable all, double seconds,
                 const TuningEvents& events);
  void add_blend(const TuningEvents& events);
  void climb_linear(const TuningEvents& events);
  void climb_probe(const TuningEvents& events);
  bool climb_adapter(const TuningEvents& events);
  // Label scoring: tuning_labels.cpp.
  bool wants_labels();
  void ask_for_labels();
  // Why labels cannot be asked for, and are left out; "" where they can.
  std::string labels_refusal();
  Recipe label_recipe() const;
  bool climb_labels(const TuningEvents& events);
  bool train_labels(const TuningEvents& events);
  bool score_labels(const base::Stopwatch& watch, const TuningEvents& events);
  std::string origin() const;
  std::vector<float> all_features() const;  // of the rows of everything_
  bool search(const TuningEvents& events);
  bool measure_curves(const TuningEvents& events);
  void suspect(const TuningEvents& events);
  AdapterTrainingOptions training_options() const;
  std::optional<TrialResult> trial(const std::string& name, const Recipe& recipe,
                                   std::span<const TrainingExample> examples,
                                   const TuningEvents& events);
  eval::ProbabilityTable learned(Method method, std::span<const std::size_t> rows);
  bool adapters_of_curve(std::span<const std::size_t> sizes,
                         std::map<std::size_t, eval::ProbabilityTable>& tables,
                         const TuningEvents& events);
  void choose();
  void prefer_blend();
  // What is chosen learns from the rows that were held back as well: tuning_refit.cpp.
  void refit();
  bool retrain(const TuningEvents& events);
  bool retrains() const;
  void begin_retraining();
  void keep_first(std::string why);
  void calibrate();
  bool test(const TuningEvents& events);
  // Nothing where `progress` stopped it: it is told of texts that a model reads.
  std::optional<eval::ProbabilityTable> probabilities_of(Method method, const Part& part,
                                                         const ScoreProgress& progress = {});
  std::optional<eval::ProbabilityTable> probabilities_of(const Rung& rung, const Part& part,
                                                         const ScoreProgress& progress = {});
  eval::LinearOptions stoppable(eval::LinearOptions options);
  bool wants(Method method) const;  // whether it is trained in any case; labels: whether it may be

  std::shared_ptr<const model::Model> model_;
  const text::Tokenizer* tokenizer_;
  math::CpuDevice& device_;
  TuningRequest request_;
  std::unique_ptr<Part> training_, validation_, test_;
  // Training and validation rows, in this order, where the one was held back from the other.
  LabelledTexts everything_;
  std::vector<std::uint32_t> all_classes_;
  // Too few held-back rows are out of scope to set an adapter's threshold by.
  bool few_out_of_scope_ = false;
  bool in_turn_ = false;  // baseline and probe are measured on all of them in turn
  std::vector<TrainingExample> all_examples_;  // as everything_, for retraining_
  std::unique_ptr<ClassifierTraining> adapter_training_, retraining_;
  AdapterTraining::Parameters first_best_;  // while retraining_ is there
  std::shared_ptr<const LabelTask> label_task_;
  std::unique_ptr<LabelTraining> label_training_;
  std::unique_ptr<LabelAnswers> label_answers_;
  std::vector<std::filesystem::path> trial_files_;
  FitPause pause_;
  float asked_rate_;  // the recipe's learning rate before a search
  bool automatic_epochs_ = false;
  std::string labels_left_out_;  // why, as settle_memory() found it
  TuningReport report_;
  TunedClassifier result_;
};

}  // namespace malina::tune
