// What a tuning job finds out, for people, for JSON and for the page: everything but the weights.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "eval/calibration.h"
#include "eval/confusion.h"
#include "eval/learning_curve.h"
#include "eval/statistics.h"
#include "tune/classifier_training.h"

namespace malina::tune {

// What may be asked for, from the cheapest to the dearest; `blend` is linear, probe and lora
// together.
enum class Method { automatic, linear, probe, lora, labels, blend };
std::string_view name(Method method);
// "linear+probe"; of the methods that are trained: linear, probe, lora, labels.
std::string name(std::span<const Method> members);

struct Measured {
  eval::Estimate accuracy;  // with Wilson's interval, 95 %
  double macro_f1 = 0;
};

// One rung on rows that it was not trained on: the validation data, or where little data is given
// without a validation part, all rows in turn.
struct Rung {
  std::vector<Method> members;  // one; of several together, in the ladder's order
  std::vector<double> weights;  // of the members
  Measured validation;
  std::size_t rows = 0;  // that this was measured on
  double seconds = 0;    // of training, of all members
  // Against the linear baseline, on the same rows; absent for itself. Of answers by McNemar's exact
  // test; of probabilities by Student's paired t-test on Brier scores.
  std::optional<double> p_value, brier_p_value = {};
  double brier = 0;  // mean Brier score, at the temperature by which these rows are likeliest
  // Of the validation rows; of several members with weights from the other half of these rows.
  eval::ProbabilityTable probabilities;
  // Of the training and the validation rows, in this order, each by a model of the other folds;
  // empty where only the validation rows are known.
  eval::ProbabilityTable all = {};
};

inline constexpr std::size_t kMostConfusions = 50, kMostPoints = 100;

// The mean loss of the steps up to this one, since the point before.
struct StepLoss {
  std::uint64_t step;
  double loss;  // nats
};
// At most kMostPoints, as far apart as they can be.
std::vector<StepLoss> step_losses(std::span<const float> losses);

// What the chosen classifier answers, label by label.
struct AnswerReport {
  std::vector<eval::ClassScore> classes;               // of each label
  std::vector<eval::Confusion> confusions;             // the first kMostConfusions
  std::vector<eval::RiskCoveragePoint> risk_coverage;  // thinned to kMostPoints, the ends kept
};
AnswerReport answer_report(std::span<const std::uint32_t> expected,
                           const eval::ProbabilityTable& table);

// At most kMostPoints, as evenly spread over the coverage as the points allow; the ends are kept.
std::vector<eval::RiskCoveragePoint> thinned(std::vector<eval::RiskCoveragePoint> points);

// What more labels would bring to one rung (eval/learning_curve.h), on the validation rows.
struct CurveReport {
  std::vector<Method> members;
  struct Point {
    std::size_t rows;      // of the training data
    eval::Estimate error;  // share of wrong answers (or tokens), with Wilson's interval
  };
  std::vector<Point> points;
  eval::PowerLaw law;
  struct Forecast {
    std::size_t more;     // labels beyond those of the last point
    eval::Estimate gain;  // of accuracy, a share
    std::string text;     // "500 more labels ≈ +1.1 ± 0.4 points"
  };
  std::vector<Forecast> forecasts;  // by rising `more`
};

// A label that the linear baseline, trained on the other rows, is confident is wrong.
struct SuspectedRow {
  std::size_t file;  // index in data_files
  std::uint64_t line;
  std::string given, suggested;
  double margin;  // probability of the suggested label less that of the given one
};
inline constexpr std::size_t kMostSuspected = 200;

// A short training of a search for the learning rate.
struct SearchTrial {
  float learning_rate;
  std::size_t epochs;
  double loss, accuracy,
      macro_f1;  // of the validation rows after its best epoch
  bool kept;     // goes on to the next round, or is what was searched for
};

// Of the adapter that was chosen, on the rows that were held back as well.
struct Retraining {
  std::size_t rows, epochs;
};

struct TuningReport {
  std::vector<std::string> labels;
  std::size_t training_rows = 0, validation_rows = 0, test_rows = 0;
  bool validation_from_training = false;
  std::size_t truncated = 0;  // texts, of all parts
  std::vector<base::Digest> training_files, validation_files, test_files;
  std::string licence;
  std::vector<Rung> rungs;
  std::size_t chosen = 0;       // index of a rung
  std::string reason;           // one sentence
  std::string labels_left_out;  // why `automatic` did not train `labels`; "" where it may have
  std::vector<EpochReport> history;
  std::vector<StepLoss> losses;         // of the adapter's training, thinned
  std::optional<Retraining> retrained;  // absent: it learned from the training rows alone
  std::string retraining_left_out;      // why, where it was tried; "" otherwise
  // Of the adapter that writes labels, where it was trained to its end.
  std::optional<Recipe> label_recipe = {};
  std::vector<EpochReport> label_history;
  std::vector<StepLoss> label_losses;
  std::vector<double> label_prior;  // is taken off their log-probabilities; empty: nothing is
  eval::Calibration calibration;
  // On validation rows: as they came, and at the temperature.
  eval::CalibrationMeasures before, after;
  AnswerReport answers;  // of the chosen rung on validation rows, at the temperature
  std::optional<eval::ScopeMeasures> scope;  // there, where a label is out of scope
  // Of the test rows, read once, at the end.
  struct Test {
    Measured chosen, linear;
    double p_value = 1;
    eval::CalibrationMeasures measures;
    AnswerReport answers;
    double answered = 0, answered_accuracy = 0;  // at the abstention threshold
    double set_coverage = 0, set_size = 0;       // of conformal sets
    std::optional<eval::ScopeMeasures> scope = {};
  };
  std::optional<Test> test;
  // Of every rung that it was measured for; the last is not always the chosen one. Empty: too few
  // rows for three nested subsets.
  std::vector<CurveReport> curves;
  std::vector<std::string> data_files;  // names of training and validation files
  // Of training and validation rows; absent where none was looked for.
  std::optional<std::size_t> suspected_rows;
  std::vector<SuspectedRow> suspected;  // the surest kMostSuspected
  std::vector<SearchTrial> search;      // in the order in which they ran

  // Of the chosen rung where it was measured, otherwise of the dearest rung that it was measured
  // for; null where there is none.
  const CurveReport* curve() const;
  const Rung& chosen_rung() const { return rungs[chosen]; }
  bool uses(Method method) const;  // whether it is among the chosen rung's members
  bool uses_base() const { return chosen_rung().members != std::vector{Method::linear}; }
  // With a low-rank adapter, of whatever kind.
  bool uses_adapter() const { return uses(Method::lora) || uses(Method::labels); }
};

// Parts that reports have in common, under the keys of docs/reference/json.md.
nlohmann::ordered_json curve_json(const CurveReport& curve);
// Null where there is none.
nlohmann::ordered_json abstention_json(const std::optional<eval::AbstentionThreshold>& abstention);
nlohmann::ordered_json search_json(std::span<const SearchTrial> trials);
nlohmann::ordered_json bins_json(std::span<const eval::ReliabilityBin> bins);
nlohmann::ordered_json risk_coverage_json(std::span<const eval::RiskCoveragePoint> points);

// Under the keys of docs/reference/json.md.
nlohmann::ordered_json report_json(const TuningReport& report);

}  // namespace malina::tune
