// A tuning job: from labelled texts to the cheapest classifier that no dearer one beats.
//
// The ladder: a linear model on TF-IDF of the words (always trained, it is the measure of all
// others), a linear probe on the frozen model's features, both together, a low-rank adapter with a
// head, all three together (eval/blend.h). A dearer rung is taken only where McNemar's exact test
// says that it is better on the validation data.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/calibration.h"
#include "eval/linear_baseline.h"
#include "eval/statistics.h"
#include "model/adapter_tensors.h"
#include "tune/certificate.h"
#include "tune/classification_task.h"
#include "tune/classifier_training.h"

namespace malina::tune {

// What may be asked for: `blend` is all three together.
enum class Method { automatic, linear, probe, lora, blend };
std::string_view name(Method method);
// "linear+probe"; of the methods that are trained: linear, probe, lora.
std::string name(std::span<const Method> members);

struct TuningRequest {
  std::vector<std::filesystem::path> training, validation, test;  // the last two may be empty
  ReadOptions reading;
  Method method = Method::automatic;
  Recipe recipe;
  TextForm form;
  std::size_t patience = 3;
  double significance = 0.05;  // what a dearer rung must reach
  eval::CalibrationOptions calibration;
  std::filesystem::path snapshot;  // of the adapter's training; empty: none
  std::string base_digest;         // "sha256:..."
};

struct Measured {
  eval::Estimate accuracy;  // with Wilson's interval, 95 %
  double macro_f1 = 0;
};

// One rung on the validation data.
struct Rung {
  std::vector<Method> members;  // one; of several together, in the ladder's order
  std::vector<double> weights;  // of the members
  Measured validation;
  double seconds = 0;  // of training, of all members
  // Against the linear baseline, on the same rows; absent for itself.
  std::optional<double> p_value;
  // Of the validation rows; of several members with weights from the other half of these rows.
  eval::ProbabilityTable probabilities;
};

struct TuningReport {
  std::vector<std::string> labels;
  std::size_t training_rows = 0, validation_rows = 0, test_rows = 0;
  bool validation_from_training = false;
  std::size_t truncated = 0;  // texts, of all parts
  std::vector<base::Digest> training_files, validation_files, test_files;
  std::string licence;
  std::vector<Rung> rungs;
  std::size_t chosen = 0;  // index of a rung
  std::string reason;      // one sentence
  std::vector<EpochReport> history;
  eval::Calibration calibration;
  // On validation rows: as they came, and at the temperature.
  eval::CalibrationMeasures before, after;
  // Of the test rows, read once, at the end.
  struct Test {
    Measured chosen, linear;
    double p_value = 1;
    eval::CalibrationMeasures measures;
    double answered = 0, answered_accuracy = 0;  // at the abstention threshold
    double set_coverage = 0, set_size = 0;       // of conformal sets
  };
  std::optional<Test> test;

  const Rung& chosen_rung() const { return rungs[chosen]; }
  bool uses(Method method) const;  // whether it is among the chosen rung's members
};

// What was chosen, to be kept: the baseline is always there.
struct TunedClassifier {
  std::optional<eval::LinearBaseline> linear, probe;
  std::optional<model::AdapterTensors> adapter;
};

struct TuningEvents {
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
  // To the end: true. False where the training was paused; then it can be run again, or by another
  // process from its snapshot.
  bool run(const TuningEvents& events);

  // As it was carried out: what depends on model and data is settled by read().
  const TuningRequest& request() const { return request_; }
  const TuningReport& report() const { return report_; }
  const TunedClassifier& result() const { return result_; }
  // Of validation texts, evenly taken. After run() returned true.
  Certificate certificate();

 private:
  struct Part;

  void split();
  void encode();
  void add_rung(Rung rung, const TuningEvents& events);
  void add_member(Method method, double seconds, const TuningEvents& events);
  void add_blend(const TuningEvents& events);
  void climb_linear(const TuningEvents& events);
  void climb_probe(const TuningEvents& events);
  bool climb_adapter(const TuningEvents& events);
  std::string origin() const;
  void choose();
  void calibrate();
  void test(const TuningEvents& events);
  eval::ProbabilityTable probabilities_of(Method method, const Part& part);
  eval::ProbabilityTable probabilities_of(const Rung& rung, const Part& part);
  bool wants(Method method) const;

  std::shared_ptr<const model::Model> model_;
  const text::Tokenizer* tokenizer_;
  math::CpuDevice& device_;
  TuningRequest request_;
  std::unique_ptr<Part> training_, validation_, test_;
  std::unique_ptr<ClassifierTraining> adapter_training_;
  TuningReport report_;
  TunedClassifier result_;
};

}  // namespace malina::tune
