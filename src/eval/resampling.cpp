// bootstrap and permutation_p of statistics.h.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "eval/special_functions.h"
#include "eval/statistics.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kMostJackknifeGroups = 1000;
constexpr std::size_t kDrawsAtOnce = 16;  // one task of the pool

// Of draw number `draw` alone, so that it does not matter which thread makes it.
base::Random random_of(std::uint64_t seed, std::uint64_t draw) {
  return base::Random(seed * 0x9E3779B97F4A7C15 + draw * 0xD1B54A32D192ED03 + 1);
}

// Which rows go together: those of each cluster, or each alone.
std::vector<std::vector<std::uint32_t>> units_of(std::size_t rows,
                                                 const ResamplingOptions& options) {
  if (rows == 0 || options.draws == 0)
    throw Error(Fault::invalid_argument, "there is nothing to draw from, or no draws");
  if (!(options.confidence > 0 && options.confidence < 1))
    throw Error(Fault::invalid_argument, "a confidence is not between 0 and 1");
  if (!options.clusters.empty() && options.clusters.size() != rows)
    throw Error(Fault::invalid_argument, "there is not one cluster for each row");
  std::vector<std::vector<std::uint32_t>> units;
  if (options.clusters.empty()) {
    for (std::uint32_t row = 0; row < rows; ++row) units.push_back({row});
    return units;
  }
  std::vector<std::uint32_t> order(rows);
  for (std::uint32_t row = 0; row < rows; ++row) order[row] = row;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return options.clusters[a] < options.clusters[b];
  });
  for (const std::uint32_t row : order) {
    if (units.empty() || options.clusters[units.back().front()] != options.clusters[row])
      units.emplace_back();
    units.back().push_back(row);
  }
  return units;
}

using Units = std::vector<std::vector<std::uint32_t>>;

std::vector<double> bootstrap_draws(std::size_t rows, const Units& units,
                                    const RowStatistic& statistic, const ResamplingOptions& options,
                                    base::ThreadPool& pool) {
  std::vector<double> values(options.draws);
  pool.run((options.draws + kDrawsAtOnce - 1) / kDrawsAtOnce, [&](std::size_t task) {
    std::vector<std::uint32_t> counts(rows);
    const std::size_t end = std::min(options.draws, (task + 1) * kDrawsAtOnce);
    for (std::size_t draw = task * kDrawsAtOnce; draw < end; ++draw) {
      std::fill(counts.begin(), counts.end(), 0);
      base::Random random = random_of(options.seed, draw);
      for (std::size_t i = 0; i < units.size(); ++i)
        for (const std::uint32_t row : units[random.below(units.size())]) ++counts[row];
      values[draw] = statistic(counts);
    }
  });
  return values;
}

// Efron's acceleration: the skewness of the jackknife values, over 6. Groups take units in turns,
// so that neighbours, which may be alike, are not left out together.
double acceleration(std::size_t rows, const Units& units, const RowStatistic& statistic,
                    base::ThreadPool& pool) {
  const std::size_t groups = std::min(units.size(), kMostJackknifeGroups);
  if (groups < 2) return 0;
  std::vector<double> values(groups);
  pool.run((groups + kDrawsAtOnce - 1) / kDrawsAtOnce, [&](std::size_t task) {
    std::vector<std::uint32_t> counts(rows, 1);
    const auto set = [&](std::size_t group, std::uint32_t count) {
      for (std::size_t unit = group; unit < units.size(); unit += groups)
        for (const std::uint32_t row : units[unit]) counts[row] = count;
    };
    const std::size_t end = std::min(groups, (task + 1) * kDrawsAtOnce);
    for (std::size_t group = task * kDrawsAtOnce; group < end; ++group) {
      set(group, 0);
      values[group] = statistic(counts);
      set(group, 1);
    }
  });
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(groups);
  double squares = 0, cubes = 0;
  for (const double value : values) {
    const double difference = mean - value;
    squares += difference * difference;
    cubes += difference * difference * difference;
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

// Between the order statistics, as numpy's default has it.
double percentile(const std::vector<double>& sorted, double share) {
  const double place = std::clamp(share, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Estimate bootstrap(std::size_t rows, const RowStatistic& statistic,
                   const ResamplingOptions& options, base::ThreadPool& pool) {
  const Units units = units_of(rows, options);
  const double value = statistic(std::vector<std::uint32_t>(rows, 1));
  std::vector<double> draws = bootstrap_draws(rows, units, statistic, options, pool);
  std::sort(draws.begin(), draws.end());
  // Draws that equal the value count half: figures of counts have many of them.
  const auto below =
      static_cast<double>(std::lower_bound(draws.begin(), draws.end(), value) - draws.begin());
  const auto not_above =
      static_cast<double>(std::upper_bound(draws.begin(), draws.end(), value) - draws.begin());
  const auto count = static_cast<double>(draws.size());
  const double share = (below + not_above) / (2 * count);
  // All on one side: the correction would be infinite.
  const double bias = normal_quantile(std::clamp(share, 0.5 / count, 1 - 0.5 / count));
  const double skew = acceleration(rows, units, statistic, pool);
  const auto corrected = [&](double level) {
    const double z = bias + normal_quantile(level);
    // Beyond this the transformation turns back; the extreme draw stands for it.
    if (1 - skew * z <= 0) return z > 0 ? draws.back() : draws.front();
    return percentile(draws, normal_cdf(bias + z / (1 - skew * z)));
  };
  const double tail = (1 - options.confidence) / 2;
  return {value, {corrected(tail), corrected(1 - tail)}};
}

double permutation_p(std::size_t rows, const SwappedDifference& difference,
                     const ResamplingOptions& options, base::ThreadPool& pool) {
  const Units units = units_of(rows, options);
  // Equal up to rounding is as far: the same sum in another order is not a smaller difference.
  const double seen = std::abs(difference(std::vector<std::uint8_t>(rows))) * (1 - 1e-12) - 1e-15;
  std::vector<std::uint8_t> as_far(options.draws);
  pool.run((options.draws + kDrawsAtOnce - 1) / kDrawsAtOnce, [&](std::size_t task) {
    std::vector<std::uint8_t> swapped(rows);
    const std::size_t end = std::min(options.draws, (task + 1) * kDrawsAtOnce);
    for (std::size_t draw = task * kDrawsAtOnce; draw < end; ++draw) {
      base::Random random = random_of(options.seed, draw);
      for (const auto& unit : units) {
        const auto flag = static_cast<std::uint8_t>(random.next() >> 63);
        for (const std::uint32_t row : unit) swapped[row] = flag;
      }
      as_far[draw] = std::abs(difference(swapped)) >= seen;
    }
  });
  std::size_t count = 0;
  for (const std::uint8_t far : as_far) count += far;
  return (1 + static_cast<double>(count)) / (1 + static_cast<double>(options.draws));
}

}  // namespace malina::eval
