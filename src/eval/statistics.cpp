#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "eval/metrics.h"
#include "eval/special_functions.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

void check_confidence(double confidence) {
  if (!(confidence > 0 && confidence < 1))
    throw Error(Fault::invalid_argument, "a confidence is not between 0 and 1");
}

void check_rates(double discordance, double alpha, double power) {
  if (!(discordance > 0 && discordance <= 1))
    throw Error(Fault::invalid_argument, "a discordance is not between 0 and 1");
  if (!(alpha > 0 && alpha < 1 && power > 0 && power < 1))
    throw Error(Fault::invalid_argument, "a level or a power is not between 0 and 1");
}

double rows_needed(double difference, double discordance, double alpha, double power) {
  const double spread =
      normal_quantile(1 - alpha / 2) * std::sqrt(discordance) +
      normal_quantile(power) * std::sqrt(std::max(0.0, discordance - difference * difference));
  return spread * spread / (difference * difference);
}

}  // namespace

double mcnemar_exact(std::size_t only_first, std::size_t only_second) {
  const auto fewer = static_cast<double>(std::min(only_first, only_second));
  const auto all = static_cast<double>(only_first + only_second);
  if (all == 0) return 1;
  return std::min(1.0, 2 * binomial_cdf(fewer, all, 0.5));
}

Discordance discordance(std::span<const std::uint32_t> expected,
                        std::span<const std::uint32_t> first,
                        std::span<const std::uint32_t> second) {
  if (first.size() != expected.size() || second.size() != expected.size())
    throw Error(Fault::invalid_argument, "the answers compared are not of the same rows");
  Discordance result;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool one = first[i] == expected[i], other = second[i] == expected[i];
    result.only_first += one && !other;
    result.only_second += other && !one;
  }
  return result;
}

double paired_t_p(std::span<const double> differences) {
  const auto n = static_cast<double>(differences.size());
  double most = 0;  // the test does not depend on the unit, and squares of tiny values would be 0
  for (const double difference : differences) most = std::max(most, std::abs(difference));
  if (n < 2 || most == 0) return 1;
  double mean = 0, squares = 0;
  for (const double difference : differences) mean += difference / most / n;
  for (const double difference : differences) {
    const double apart = difference / most - mean;
    squares += apart * apart;
  }
  if (squares == 0) return 0;
  const double freedom = n - 1, t2 = mean * mean * n * freedom / squares;
  return beta_cdf(freedom / (freedom + t2), freedom / 2, 0.5);
}

Interval wilson_interval(std::size_t successes, std::size_t trials, double confidence) {
  check_confidence(confidence);
  if (trials == 0) return {0, 1};
  const auto n = static_cast<double>(trials);
  const double share = static_cast<double>(successes) / n;
  const double z = normal_quantile(0.5 + confidence / 2), z2 = z * z;
  const double centre = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double half = z / (1 + z2 / n) * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

double clopper_pearson_upper(std::size_t successes, std::size_t trials, double confidence) {
  check_confidence(confidence);
  if (successes >= trials) return 1;
  return beta_quantile(confidence, static_cast<double>(successes) + 1,
                       static_cast<double>(trials - successes));
}

double clopper_pearson_lower(std::size_t successes, std::size_t trials, double confidence) {
  check_confidence(confidence);
  if (successes == 0) return 0;
  return beta_quantile(1 - confidence, static_cast<double>(successes),
                       static_cast<double>(trials - successes) + 1);
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double least = 0;  // no adjusted value is below one of a smaller p
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const double p = p_values[order[rank]] * static_cast<double>(order.size() - rank);
    least = std::max(least, std::min(1.0, p));
    adjusted[order[rank]] = least;
  }
  return adjusted;
}

std::size_t required_rows(double difference, double discordance, double alpha, double power) {
  check_rates(discordance, alpha, power);
  if (!(difference > 0 && difference <= discordance))
    throw Error(Fault::invalid_argument,
                "a difference in accuracy is not between 0 and the share of rows that differ");
  return static_cast<std::size_t>(std::ceil(rows_needed(difference, discordance, alpha, power)));
}

double detectable_difference(std::size_t rows, double discordance, double alpha, double power) {
  check_rates(discordance, alpha, power);
  double low = 0, high = discordance;
  for (int step = 0; step < 100; ++step) {
    const double middle = (low + high) / 2;
    if (middle <= 0) break;
    const bool enough = rows_needed(middle, discordance, alpha, power) <= static_cast<double>(rows);
    (enough ? high : low) = middle;
  }
  return high;
}

Comparison compare_accuracy(std::span<const std::uint32_t> expected,
                            std::span<const std::uint32_t> first,
                            std::span<const std::uint32_t> second, const ResamplingOptions& options,
                            base::ThreadPool& pool) {
  const Discordance differ = discordance(expected, first, second);
  const auto difference = [&](std::span<const std::uint32_t> counts) {
    return accuracy(expected, second, counts) - accuracy(expected, first, counts);
  };
  Comparison result{bootstrap(expected.size(), difference, options, pool),
                    mcnemar_exact(differ.only_first, differ.only_second)};
  if (!options.clusters.empty())
    result.p = permutation_p(
        expected.size(),
        [&](std::span<const std::uint8_t> swapped) {
          double sum = 0;
          for (std::size_t i = 0; i < expected.size(); ++i) {
            const int ahead = (second[i] == expected[i]) - (first[i] == expected[i]);
            sum += swapped[i] != 0 ? -ahead : ahead;
          }
          return sum / static_cast<double>(expected.size());
        },
        options, pool);
  return result;
}

Comparison compare_macro_f1(std::span<const std::uint32_t> expected,
                            std::span<const std::uint32_t> first,
                            std::span<const std::uint32_t> second, const ResamplingOptions& options,
                            base::ThreadPool& pool) {
  if (first.size() != expected.size() || second.size() != expected.size())
    throw Error(Fault::invalid_argument, "the answers compared are not of the same rows");
  const auto difference = [&](std::span<const std::uint32_t> counts) {
    return macro_f1(expected, second, counts) - macro_f1(expected, first, counts);
  };
  const auto swapped_difference = [&](std::span<const std::uint8_t> swapped) {
    std::vector<std::uint32_t> one(first.begin(), first.end());
    std::vector<std::uint32_t> other(second.begin(), second.end());
    for (std::size_t i = 0; i < swapped.size(); ++i)
      if (swapped[i] != 0) std::swap(one[i], other[i]);
    return macro_f1(expected, other) - macro_f1(expected, one);
  };
  return {bootstrap(expected.size(), difference, options, pool),
          permutation_p(expected.size(), swapped_difference, options, pool)};
}

}  // namespace malina::eval
