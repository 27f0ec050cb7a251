// What more labels would bring: errors on nested subsets, a power law through them, a forecast with
// an interval.
//
// The law is error = a n^-b + c for n rows of training (Cortes et al. 1993, "Learning curves:
// asymptotic values and rate of convergence"; Hestness et al. 2017, "Deep learning scaling is
// predictable, empirically"), a >= 0, 0 <= c <= 1, kLeastPower <= b <= kMostPower.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "eval/statistics.h"

namespace malina::eval {

struct PowerLaw {
  double a = 0, b = 0, c = 0;
  double error(double rows) const;  // in [0, 1]
};

inline constexpr double kLeastPower = 0.05, kMostPower = 2;

// Least squares with these weights: for every b the best a and c within their bounds are exact, and
// b is searched. rows and weights positive; throws invalid_argument otherwise, for sizes that
// differ and for fewer than three different rows.
PowerLaw fit_power_law(std::span<const double> rows, std::span<const double> errors,
                       std::span<const double> weights);

// How a model learned from `rows` examples did: how much of each row of the evaluation was wrong,
// of how much: of an answer 1 or 0, of 1; of a text its tokens. All points are of the same rows.
struct LearningPoint {
  std::size_t rows;
  std::vector<float> wrong;
  std::vector<float> of = {};  // empty: 1 each
};

// Sizes of nested subsets for a curve: `rows` itself and its halves, quarters and so on, `points`
// of them or as many as leave each of the classes two rows on average; ascending.
std::vector<std::size_t> nested_sizes(std::size_t rows, std::size_t classes,
                                      std::size_t points = 5);

// Trains on the rows of the training data that are given, and answers every evaluation row.
using Learn = std::function<std::vector<std::uint32_t>(std::span<const std::size_t> rows)>;
// One point for each size, on nested subsets: the first rows of nested_order (stratified.h).
// classes: of the training data; expected: of the evaluation rows. Throws invalid_argument for a
// size beyond the training data or an answer too many or too few, and what `learn` throws.
std::vector<LearningPoint> measure_learning_points(std::span<const std::uint32_t> classes,
                                                   std::span<const std::uint32_t> expected,
                                                   std::span<const std::size_t> sizes,
                                                   std::uint64_t seed, const Learn& learn);

// A law with its uncertainty. Immutable.
class LearningCurve {
 public:
  // Weights are inverse variances of the points' errors (a share of what the evaluation rows hold,
  // counted as in Agresti and Coull). The uncertainty is a bootstrap: every draw takes the
  // evaluation rows with replacement, the same ones for all points, adds to each point noise as
  // large as what the points scatter about the law, and fits anew. options.clusters is not used.
  // Throws invalid_argument for fewer than three different sizes, points of different evaluation
  // rows, or none, or rows that hold nothing.
  static LearningCurve fit(std::span<const LearningPoint> points, const ResamplingOptions& options,
                           base::ThreadPool& pool);

  const PowerLaw& law() const { return law_; }
  Estimate error(double rows) const;
  // How much smaller the error is at `to` rows than at `from`, with the interval of that.
  Estimate gain(double from, double to) const;
  // "400 more labels ≈ +1.1 ± 0.4 points": the gain of so many beyond `rows`, in percentage points,
  // and half the width of its interval. `what`: are more.
  std::string forecast(std::size_t rows, std::size_t more, std::string_view what = "labels") const;

 private:
  Estimate estimate(const std::function<double(const PowerLaw&)>& figure) const;

  PowerLaw law_;
  std::vector<PowerLaw> draws_;
  double confidence_ = 0.95;
};

}  // namespace malina::eval
