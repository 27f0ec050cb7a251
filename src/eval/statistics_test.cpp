#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "eval/golden_values.h"
#include "eval/metrics.h"
#include "eval/special_functions.h"

namespace malina::eval {
namespace {

using Classes = std::vector<std::uint32_t>;

void expect_close(double value, double expected, double relative = 1e-9) {
  EXPECT_NEAR(value, expected, relative * std::abs(expected) + 1e-300);
}

TEST(SpecialFunctions, AreThoseOfSciPy) {
  const auto& golden = golden_values().at("distributions");
  for (const auto& row : golden.at("normal_quantile"))
    expect_close(normal_quantile(row[0]) + 1, row[1].get<double>() + 1);
  for (const auto& row : golden.at("normal_cdf")) expect_close(normal_cdf(row[0]), row[1], 1e-12);
  for (const auto& row : golden.at("beta_cdf"))
    expect_close(beta_cdf(row[0], row[1], row[2]), row[3]);
  for (const auto& row : golden.at("beta_quantile"))
    expect_close(beta_quantile(row[0], row[1], row[2]), row[3]);
  for (const auto& row : golden.at("binomial_cdf"))
    expect_close(binomial_cdf(row[0], row[1], row[2]), row[3]);
}

TEST(Statistics, TestsAndIntervalsAreThoseOfStatsmodels) {
  const auto& golden = golden_values().at("tests");
  for (const auto& row : golden.at("mcnemar")) expect_close(mcnemar_exact(row[0], row[1]), row[2]);
  for (const auto& row : golden.at("paired_t"))
    expect_close(paired_t_p(row[0].get<std::vector<double>>()), row[1]);
  const auto adjusted = holm(golden.at("holm")[0].get<std::vector<double>>());
  for (std::size_t i = 0; i < adjusted.size(); ++i)
    expect_close(adjusted[i], golden.at("holm")[1][i]);
  for (const auto& row : golden.at("wilson")) {
    const Interval interval = wilson_interval(row[0], row[1], row[2]);
    EXPECT_NEAR(interval.low, row[3].get<double>(), 1e-12);
    EXPECT_NEAR(interval.high, row[4].get<double>(), 1e-12);
  }
  for (const auto& row : golden.at("clopper_pearson")) {
    EXPECT_NEAR(clopper_pearson_lower(row[0], row[1]), row[2].get<double>(), 1e-10);
    EXPECT_NEAR(clopper_pearson_upper(row[0], row[1]), row[3].get<double>(), 1e-10);
  }
}

TEST(Statistics, DifferencesWithoutSpreadHaveAPairedTestToo) {
  using Differences = std::vector<double>;
  EXPECT_EQ(paired_t_p(Differences{}), 1);
  EXPECT_EQ(paired_t_p(Differences{0.5}), 1);
  EXPECT_EQ(paired_t_p(Differences{0, 0, 0}), 1);
  EXPECT_EQ(paired_t_p(Differences{0.5, 0.5}), 0);
  expect_close(paired_t_p(Differences{1e-170, -2e-170, 1.5e-170}),
               paired_t_p(Differences{1, -2, 1.5}));
}

TEST(Statistics, RequiredRowsAreThoseOfTheFormula) {
  EXPECT_EQ(required_rows(0.03, 0.10), 870U);
  EXPECT_EQ(required_rows(0.02, 0.08), 1568U);
  EXPECT_EQ(required_rows(0.01, 0.05), 3923U);
  EXPECT_NEAR(detectable_difference(870, 0.10), 0.03, 1e-4);
  EXPECT_NEAR(detectable_difference(3922, 0.05), 0.01, 1e-5);
  EXPECT_EQ(detectable_difference(3, 0.1), 0.1);
  EXPECT_THROW(required_rows(0, 0.1), base::Error);
  EXPECT_THROW(required_rows(0.2, 0.1), base::Error);
}

TEST(Statistics, EdgesAreNoFailure) {
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
  EXPECT_EQ(clopper_pearson_upper(0, 0), 1);
  EXPECT_TRUE(holm({}).empty());
  EXPECT_THROW(wilson_interval(1, 2, 1), base::Error);
}

struct Golden {
  const nlohmann::json& json = golden_values().at("comparison");
  Classes expected = json.at("expected"), first = json.at("first"), second = json.at("second");
};

TEST(Metrics, AreThoseOfScikitLearn) {
  const Golden golden;
  expect_close(accuracy(golden.expected, golden.first), golden.json.at("accuracy")[0]);
  expect_close(accuracy(golden.expected, golden.second), golden.json.at("accuracy")[1]);
  expect_close(macro_f1(golden.expected, golden.first), golden.json.at("macro_f1")[0]);
  expect_close(macro_f1(golden.expected, golden.second), golden.json.at("macro_f1")[1]);
}

TEST(Metrics, CountsAreRepetitions) {
  const Classes expected{0, 1, 2, 2}, predicted{0, 2, 2, 1}, counts{2, 1, 0, 3};
  const Classes expected_repeated{0, 0, 1, 2, 2, 2}, predicted_repeated{0, 0, 2, 1, 1, 1};
  EXPECT_EQ(accuracy(expected, predicted, counts), accuracy(expected_repeated, predicted_repeated));
  EXPECT_EQ(macro_f1(expected, predicted, counts), macro_f1(expected_repeated, predicted_repeated));
  EXPECT_EQ(macro_f1({}, {}), 0);
}

TEST(Metrics, SpansAreRightWhereBothEndsAndTheKindAre) {
  const std::vector<MarkedSpan> expected{{0, 4, 1}, {10, 12, 2}, {20, 25, 1}};
  const std::vector<MarkedSpan> predicted{{20, 25, 1}, {0, 4, 2}, {10, 13, 2}, {20, 25, 1}};
  const SpanCounts counts = count_spans(expected, predicted);
  EXPECT_EQ(counts.expected, 3U);
  EXPECT_EQ(counts.predicted, 4U);
  EXPECT_EQ(counts.right, 1U);  // the second of equal ones meets nothing any more
  const SpanScore score = span_score(std::vector<SpanCounts>{counts, {1, 0, 0}, {1, 1, 1}});
  EXPECT_DOUBLE_EQ(score.precision, 2.0 / 5);
  EXPECT_DOUBLE_EQ(score.recall, 2.0 / 5);
  EXPECT_DOUBLE_EQ(score.f1, 4.0 / 10);
  EXPECT_EQ(span_score({}).f1, 0);
}

TEST(Comparisons, IntervalsAndPAreThoseOfSciPy) {
  base::ThreadPool pool(2);
  const Golden golden;
  const ResamplingOptions options{.draws = 10000};
  const Comparison accuracy =
      compare_accuracy(golden.expected, golden.first, golden.second, options, pool);
  // Differences of accuracy come in steps of 1/300, and one step is where a draw falls.
  EXPECT_NEAR(accuracy.difference.interval.low, golden.json.at("accuracy_interval")[0], 0.0045);
  EXPECT_NEAR(accuracy.difference.interval.high, golden.json.at("accuracy_interval")[1], 0.0045);
  const Comparison macro =
      compare_macro_f1(golden.expected, golden.first, golden.second, options, pool);
  EXPECT_NEAR(macro.difference.interval.low, golden.json.at("macro_f1_interval")[0], 0.005);
  EXPECT_NEAR(macro.difference.interval.high, golden.json.at("macro_f1_interval")[1], 0.005);
  EXPECT_NEAR(macro.p, golden.json.at("macro_f1_p"), 0.01);
}

TEST(Comparisons, ThreadsChangeNoBit) {
  base::ThreadPool one(1), four(4);
  const Golden golden;
  const ResamplingOptions options{.draws = 300};
  const auto a = compare_macro_f1(golden.expected, golden.first, golden.second, options, one);
  const auto b = compare_macro_f1(golden.expected, golden.first, golden.second, options, four);
  EXPECT_EQ(a.difference.interval.low, b.difference.interval.low);
  EXPECT_EQ(a.difference.interval.high, b.difference.interval.high);
  EXPECT_EQ(a.p, b.p);
}

// 1,000 simulated sets of a known accuracy: the interval must hold the truth in 93 to 97 % of them.
TEST(Bootstrap, IntervalsHoldTheTruthAsOftenAsTheySay) {
  base::ThreadPool pool(2);
  std::size_t held = 0;
  for (std::uint64_t simulation = 0; simulation < 1000; ++simulation) {
    base::Random random(simulation + 1);
    std::vector<std::uint8_t> first(200), second(200);
    for (std::size_t i = 0; i < 200; ++i) {
      const double ease = random.uniform();  // the same row is hard for both
      first[i] = 0.5 * ease + 0.5 * random.uniform() < 0.7;
      second[i] = 0.5 * ease + 0.5 * random.uniform() < 0.8;
    }
    // P((U + V)/2 < t) = 1 - 2 (1 - t)^2 for t >= 1/2.
    const double truth = (1 - 2 * 0.04) - (1 - 2 * 0.09);
    const Estimate estimate = bootstrap(
        200,
        [&](std::span<const std::uint32_t> counts) {
          double sum = 0;
          for (std::size_t i = 0; i < 200; ++i) sum += counts[i] * (double(second[i]) - first[i]);
          return sum / 200;
        },
        {.draws = 400, .seed = simulation}, pool);
    held += estimate.interval.low <= truth && truth <= estimate.interval.high;
  }
  EXPECT_GE(held, 930U);
  EXPECT_LE(held, 970U);
}

TEST(Bootstrap, RowsOfOneClusterGoTogether) {
  base::ThreadPool pool(1);
  std::vector<std::uint32_t> right, clusters;
  for (std::uint32_t cluster = 0; cluster < 40; ++cluster)
    for (int i = 0; i < 10; ++i) right.push_back(cluster % 4 != 0), clusters.push_back(cluster);
  const RowStatistic share = [&](std::span<const std::uint32_t> counts) {
    double sum = 0, all = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) sum += counts[i] * right[i], all += counts[i];
    return sum / all;
  };
  const auto width = [&](const ResamplingOptions& options) {
    const Estimate estimate = bootstrap(right.size(), share, options, pool);
    return estimate.interval.high - estimate.interval.low;
  };
  const double alone = width({}), together = width({.clusters = clusters});
  // Ten rows that err as one are one row: the interval is sqrt(10) wider.
  EXPECT_NEAR(together / alone, std::sqrt(10.0), 0.5);
}

TEST(Bootstrap, FigureThatNeverVariesHasNoWidth) {
  base::ThreadPool pool(1);
  const auto estimate = bootstrap(5, [](std::span<const std::uint32_t>) { return 0.5; }, {}, pool);
  EXPECT_EQ(estimate.interval.low, 0.5);
  EXPECT_EQ(estimate.interval.high, 0.5);
  EXPECT_THROW(
      bootstrap(0, [](std::span<const std::uint32_t>) { return 0.0; }, {}, pool), base::Error);
}

TEST(Permutation, EqualSystemsDifferByChanceAlone) {
  base::ThreadPool pool(2);
  const Golden golden;
  const auto same =
      compare_macro_f1(golden.expected, golden.first, golden.first, {.draws = 200}, pool);
  EXPECT_EQ(same.p, 1);
  EXPECT_EQ(same.difference.value, 0);
  EXPECT_THROW(compare_macro_f1(golden.expected, Classes{1}, golden.first, {}, pool), base::Error);
}

TEST(Permutation, ClustersMakeTheTestMoreCautious) {
  base::ThreadPool pool(1);
  Classes expected(200, 1), first(200, 1), second(200, 1), clusters;
  for (std::uint32_t i = 0; i < 200; ++i) {
    clusters.push_back(i / 20);
    if (i < 80) first[i] = 0;  // four documents that the second has right
  }
  EXPECT_LT(compare_accuracy(expected, first, second, {}, pool).p, 1e-6);
  const double p = compare_accuracy(expected, first, second, {.clusters = clusters}, pool).p;
  EXPECT_NEAR(p, 2.0 / 16, 0.03);  // of 2^4 signs two are as far
}

}  // namespace
}  // namespace malina::eval
