#include "tune/tuning_curve.h"

#include <gtest/gtest.h>

#include <cmath>

namespace malina::tune {
namespace {

TEST(ForecastSizes, AreRound) {
  EXPECT_EQ(forecast_sizes(616), (std::vector<std::size_t>{200, 500, 2000}));
  EXPECT_EQ(forecast_sizes(9003), (std::vector<std::size_t>{2000, 10000, 50000}));
  EXPECT_EQ(forecast_sizes(1), (std::vector<std::size_t>{1, 1, 5}));
}

TEST(CurveSizes, LeaveEveryLabelTwoRows) {
  EXPECT_EQ(curve_sizes(616, 77), (std::vector<std::size_t>{154, 308, 616}));
  EXPECT_TRUE(curve_sizes(600, 77).empty());  // 150 would be too few
}

// A learner whose error halves whenever its rows do so four times over: what it says of more rows
// is known.
TEST(LearningCurves, ForecastWhatALawSays) {
  base::ThreadPool pool(2);
  constexpr std::size_t kEvaluated = 4000, kRows = 1600;
  std::vector<std::uint32_t> classes(kRows), expected(kEvaluated, 1);
  for (std::size_t i = 0; i < kRows; ++i) classes[i] = i % 2;
  const auto answers = [&](std::size_t rows) {
    eval::ProbabilityTable table{2, {}};
    const double error = 4 / std::sqrt(static_cast<double>(rows));  // 10 % of 1,600 rows
    for (std::size_t i = 0; i < kEvaluated; ++i) {
      const bool wrong = static_cast<double>(i) < error * kEvaluated;
      table.values.insert(table.values.end(), {wrong ? 0.9 : 0.1, wrong ? 0.1 : 0.9});
    }
    return table;
  };
  const eval::ProbabilityTable full = answers(kRows);
  const std::vector<Rung> rungs{{.members = {Method::linear},
                                 .weights = {1},
                                 .validation = {},
                                 .seconds = 0,
                                 .p_value = {},
                                 .probabilities = full}};
  const std::vector<CurveMember> members{
      {Method::linear, &full,
       [&](std::span<const std::size_t> rows) { return answers(rows.size()); }}};
  const auto curves =
      learning_curves(rungs, members, classes, expected, curve_sizes(kRows, 2), 1, pool);
  ASSERT_EQ(curves.size(), 1U);
  ASSERT_EQ(curves[0].points.size(), 5U);
  EXPECT_NEAR(curves[0].points.back().error.value, 0.1, 1e-3);
  ASSERT_EQ(curves[0].forecasts.size(), 3U);
  EXPECT_EQ(curves[0].forecasts[2].more, 5000U);
  EXPECT_NEAR(curves[0].forecasts[2].gain.value, 0.1 - 4 / std::sqrt(6600.0), 0.01);
  EXPECT_LT(curves[0].forecasts[2].gain.interval.low, curves[0].forecasts[2].gain.value);
  EXPECT_TRUE(curves[0].forecasts[1].text.starts_with("2000 more labels"))
      << curves[0].forecasts[1].text;
}

TEST(LearningCurves, LeaveOutWhatWasNotMeasured) {
  base::ThreadPool pool(1);
  const std::vector<Rung> rungs{{.members = {Method::linear, Method::lora},
                                 .weights = {1, 1},
                                 .validation = {},
                                 .seconds = 0,
                                 .p_value = {},
                                 .probabilities = {}}};
  EXPECT_TRUE(
      learning_curves(rungs, {}, std::vector<std::uint32_t>(40), {}, curve_sizes(40, 2), 1, pool)
          .empty());
}

}  // namespace
}  // namespace malina::tune
