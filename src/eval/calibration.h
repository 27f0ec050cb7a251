// Probabilities that can be believed, and knowing when not to answer.
//
// A row's confidence is its greatest probability, its answer the first class that has it. labels
// are the classes of the rows, as many as the table has; everything here throws invalid_argument
// where they are not, or where there are no rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/probability_table.h"

namespace malina::eval {

// --- Temperature (Guo et al. 2017, "On calibration of modern neural networks") ---

inline constexpr double kLeastTemperature = 0.05, kMostTemperature = 20;
// What fit_calibration() takes where it is the least, since no row was answered wrongly.
inline constexpr double kTemperatureOfNoErrors = 0.25;

// The temperature T that makes the labels likeliest when every probability p becomes p^(1/T),
// summed to 1 again (with p the softmax of logits, that divides the logits by T). The negative
// log-likelihood is convex in 1/T, so bisecting its slope finds the minimum for certain; where it
// falls beyond the bounds above (every answer right, or none better than chance), the bound.
double fit_temperature(std::span<const std::uint32_t> labels, const ProbabilityTable& table);
void apply_temperature(std::span<double> probabilities, double temperature);
ProbabilityTable with_temperature(ProbabilityTable table, double temperature);

// --- How far probabilities can be believed ---

// Rows whose confidence is in (low, high]; means over these rows, 0 where there are none.
struct ReliabilityBin {
  double low, high;
  std::size_t rows;
  double confidence, accuracy;
};

struct CalibrationMeasures {
  double accuracy;
  // Sum over 15 bins of equal width of rows/N * |accuracy - confidence| (Naeini et al. 2015; Guo et
  // al. 2017).
  double expected_calibration_error;
  // What that would be on average if confidences were exactly right: of a binomial in each bin, at
  // its mean confidence (de Moivre's closed form; Diaconis and Zabell 1991). Few rows differ by as
  // much by chance.
  double calibration_error_by_chance;
  double brier;  // mean over rows of the sum over classes of (p_k - [k is the label])^2: 0 to 2
  double negative_log_likelihood;  // mean of -ln p of the label; p is taken as 1e-300 at least
  std::vector<ReliabilityBin> bins;
  // Area under the risk-coverage curve below.
  double risk_coverage_area;
};
// Of each row: the sum over classes of (p_k - [k is the label])^2 (Brier 1950).
std::vector<double> brier_scores(std::span<const std::uint32_t> labels,
                                 const ProbabilityTable& table);
CalibrationMeasures measure_calibration(std::span<const std::uint32_t> labels,
                                        const ProbabilityTable& table, std::size_t bins = 15);

// --- Answering only some (El-Yaniv and Wiener 2010) ---

// Who answers the rows of confidence >= threshold answers this share of them, of which this share
// is wrong.
struct RiskCoveragePoint {
  double threshold, coverage, risk;
};
// One point for every confidence that occurs, coverage rising.
std::vector<RiskCoveragePoint> risk_coverage(std::span<const std::uint32_t> labels,
                                             const ProbabilityTable& table);
// The mean over k of the risk of the k most confident of the n rows; rows as confident as each
// other err alike. 0 to 1, less is better.
double risk_coverage_area(std::span<const std::uint32_t> labels, const ProbabilityTable& table);

// The chance that a score of the first kind exceeds one of the second (ties count half): the area
// under the ROC curve, for telling texts within scope (first) from others by confidence. Throws
// invalid_argument where either is empty.
double auroc(std::span<const double> first, std::span<const double> second);

struct AbstentionThreshold {
  double threshold;      // answer at this confidence or above; just above 1: never
  double coverage;       // the share of the rows fitted on that is answered
  double accuracy;       // among these
  std::size_t rows = 0;  // that these are; 0: not known

  // The Clopper-Pearson lower bound of the accuracy, 95 %, as if the threshold had been there
  // before the rows; 0 where these are not known.
  double accuracy_low() const;
};
// The threshold of the most answers of which at least `target_accuracy` is right.
//
// guarantee 0: on these rows; on others it may turn out a little less.
// guarantee in (0, 1): with this probability over the drawing of the rows, the accuracy on what
// comes from the same source is at least the target. Coverages from 20, 40, 60 and 80 % upwards in
// steps of 1 % are tested in turn, as long as the Clopper-Pearson upper bound of the risk at level
// (1 - guarantee)/4 is within the target: fixed-sequence tests from four starts, which together err
// with probability 1 - guarantee at most (Angelopoulos et al. 2021, "Learn then test").
//
// nullopt where no threshold reaches the target, or too few rows prove it. Throws invalid_argument
// for a target or a guarantee outside of its range.
std::optional<AbstentionThreshold> fit_abstention(std::span<const std::uint32_t> labels,
                                                  const ProbabilityTable& table,
                                                  double target_accuracy, double guarantee = 0);

// --- Sets of answers (split conformal prediction; Angelopoulos and Bates 2021, "A gentle
// introduction to conformal prediction", section 1) ---

// The ceil((n + 1) coverage)-th smallest of the scores 1 - p(label); 1 where n is too small for it:
// every class is in every set then. On rows from the same source the label is in the set with at
// least the probability `coverage`, in (0, 1), whatever the classifier.
double conformal_quantile(std::span<const std::uint32_t> labels, const ProbabilityTable& table,
                          double coverage);
// The classes whose 1 - p is at most the quantile, likeliest first. May be empty: then no class is
// like what was seen.
std::vector<std::uint32_t> conformal_set(std::span<const double> probabilities, double quantile);

// --- Texts that no class is meant for ---

// The lowest threshold at which enough of the rows of `scope_class` is recognised: their answer is
// that class, or their confidence is below the threshold. `accuracy` and `coverage` are those of
// the rows of the other classes that are answered with one of them.
//
// guarantee 0: the share `recall` of these rows; of others it is less about half of the time.
// guarantee in (0, 1): so many that the Clopper-Pearson lower bound of their share at this
// confidence is at least `recall`: the rank of the threshold depends on the number of rows alone,
// so of others from the same source at least `recall` is recognised with that probability. All of
// them where they are too few to prove it; then it is less probable.
//
// Throws invalid_argument for a recall outside of (0, 1], a guarantee outside of [0, 1), and where
// there is no row of the class, or none of another one.
AbstentionThreshold fit_scope(std::span<const std::uint32_t> labels, const ProbabilityTable& table,
                              std::uint32_t scope_class, double recall, double guarantee = 0);

// --- All of it ---

struct CalibrationOptions {
  double target_accuracy = 0.98;
  // The class of texts that are out of scope; then the threshold is fitted to recognise this share
  // of them, as fit_scope does it, and target_accuracy is not looked at.
  std::optional<std::uint32_t> out_of_scope = {};
  double out_of_scope_recall = 0.8;
  double out_of_scope_guarantee = 0.95;
  double guarantee = 0;  // as fit_abstention takes it
  double conformal_coverage = 0.95;
  std::uint64_t seed = 1;  // of the split
};

struct Calibration {
  double temperature = 1;
  std::optional<AbstentionThreshold> abstention;
  double conformal_quantile = 1;
  double conformal_coverage = 0.95;                // that the quantile was fitted for
  std::optional<std::uint32_t> out_of_scope = {};  // a class whose answer is none

  // Of probabilities at the temperature: whether there is no answer.
  bool abstains(std::span<const double> probabilities) const;
};

// How well texts within and out of scope are told apart.
struct ScopeMeasures {
  std::size_t in_scope, out_of_scope;  // rows
  double accuracy;  // of the rows in scope, a row that is not answered being wrong
  double recall;    // of those out of scope: the share that is not answered
  double auroc;     // by the greatest probability of a class in scope
};
// Of probabilities at the calibration's temperature; it must have a class that is out of scope.
// Throws invalid_argument where there are no rows of the one or of the other kind.
ScopeMeasures measure_scope(std::span<const std::uint32_t> labels, const ProbabilityTable& table,
                            const Calibration& calibration);

// Fits the temperature, then on probabilities at that temperature the threshold and the quantile:
// each on its own third of the rows (stratified_split with the seed), since what was fitted on the
// same rows would look better than it is; with a class that is out of scope the threshold is fitted
// on both thirds that the temperature did not see, since its rows are few. Needs 3 rows, of that
// class 3 as well.
Calibration fit_calibration(std::span<const std::uint32_t> labels, const ProbabilityTable& table,
                            const CalibrationOptions& options);

}  // namespace malina::eval
