// Whether a difference is one: paired tests, intervals, and how many rows a comparison needs.
// Deterministic: what is random is drawn from the seed and the number of the draw alone, so the
// pool's threads change nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace malina::eval {

struct Interval {
  double low, high;
};

struct Estimate {
  double value;
  Interval interval;
};

// The exact test of McNemar (1947) on paired right and wrong answers, two-sided: twice the binomial
// probability of as few as the smaller count, at most 1. Counts: rows that only the one, or only
// the other, answered rightly. 1 where they never differ.
double mcnemar_exact(std::size_t only_first, std::size_t only_second);

struct Discordance {
  std::size_t only_first = 0, only_second = 0;
};
// Throws invalid_argument where sizes differ.
Discordance discordance(std::span<const std::uint32_t> expected,
                        std::span<const std::uint32_t> first,
                        std::span<const std::uint32_t> second);

// Student's paired t-test (1908), two-sided: the p of a mean as far from 0 as these differences
// have, were there none. Of differences that are all the same 1 where that is 0 and 0 otherwise; 1
// of fewer than two.
double paired_t_p(std::span<const double> differences);

// The interval of Wilson (1927) for a share; confidence in (0, 1). [0, 1] of no trials.
Interval wilson_interval(std::size_t successes, std::size_t trials, double confidence = 0.95);

// Bounds of Clopper and Pearson (1934), each exact by itself: with at least `confidence` the true
// share is not above the upper bound (not below the lower one).
double clopper_pearson_upper(std::size_t successes, std::size_t trials, double confidence = 0.95);
double clopper_pearson_lower(std::size_t successes, std::size_t trials, double confidence = 0.95);

// p-values adjusted for having tried them all, in the order given (Holm 1979): they control the
// chance of any false alarm among them.
std::vector<double> holm(std::span<const double> p_values);

// Rows that McNemar's test needs to find a difference in accuracy with this power, where the two
// disagree (one right, one wrong) on a share `discordance` of the rows (Connor 1987):
//   n = ((z(1 - alpha/2) sqrt(discordance) + z(power) sqrt(discordance - difference^2)) /
//   difference)^2
// Throws invalid_argument unless 0 < difference <= discordance <= 1.
std::size_t required_rows(double difference, double discordance, double alpha = 0.05,
                          double power = 0.8);
// The least difference that so many rows find: the same formula solved the other way. At most
// `discordance`, also where not even that is found.
double detectable_difference(std::size_t rows, double discordance, double alpha = 0.05,
                             double power = 0.8);

// A figure over rows of which row i counts counts[i] times. Called from several threads at once;
// must not throw.
using RowStatistic = std::function<double(std::span<const std::uint32_t> counts)>;

struct ResamplingOptions {
  std::size_t draws = 2000;
  double confidence = 0.95;
  std::uint64_t seed = 1;
  // The cluster of each row, or empty: rows of one document, say, are drawn together (Miller 2024,
  // "Adding error bars to evals"), since they err together.
  std::span<const std::uint32_t> clusters = {};
};

// A figure with its BCa bootstrap interval (Efron 1987): rows (clusters) are drawn with replacement
// as often as there are; the percentiles are corrected for bias and acceleration, the latter from
// the jackknife over the rows (over at most 1,000 groups of them). For a difference of two systems
// the statistic computes both from the same counts: that is what makes it paired. Throws
// invalid_argument for no rows, no draws, a confidence outside of (0, 1) or clusters of another
// size.
Estimate bootstrap(std::size_t rows, const RowStatistic& statistic,
                   const ResamplingOptions& options, base::ThreadPool& pool);

// A difference between two systems where those rows are swapped whose flag is 1. Called from
// several threads at once; must not throw.
using SwappedDifference = std::function<double(std::span<const std::uint8_t> swapped)>;

// Two-sided p of the paired permutation test: each row's (each cluster's) two answers are swapped
// by chance; p = (1 + draws at least as far from 0 as what was seen) / (1 + draws), as Phipson and
// Smyth (2010) advise. Throws invalid_argument as bootstrap does.
double permutation_p(std::size_t rows, const SwappedDifference& difference,
                     const ResamplingOptions& options, base::ThreadPool& pool);

// Second less first, of macro F1: its BCa interval and its permutation p.
struct Comparison {
  Estimate difference;
  double p;
};
Comparison compare_macro_f1(std::span<const std::uint32_t> expected,
                            std::span<const std::uint32_t> first,
                            std::span<const std::uint32_t> second, const ResamplingOptions& options,
                            base::ThreadPool& pool);
// Of accuracy: its BCa interval and McNemar's exact p (with clusters the permutation p, since
// McNemar's rows are independent).
Comparison compare_accuracy(std::span<const std::uint32_t> expected,
                            std::span<const std::uint32_t> first,
                            std::span<const std::uint32_t> second, const ResamplingOptions& options,
                            base::ThreadPool& pool);

}  // namespace malina::eval
