#include "eval/learning_curve.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "eval/golden_values.h"

namespace malina::eval {
namespace {

// Points on error = 2 n^-0.5 + 0.05, of `evaluated` rows each: a row of ease u errs below it.
std::vector<LearningPoint> drawn_points(std::size_t evaluated, std::uint64_t seed) {
  std::vector<LearningPoint> points;
  for (const std::size_t rows : {100U, 200U, 400U, 800U, 1600U}) {
    base::Random random(seed * 1000 + rows);
    LearningPoint point{rows, {}};
    for (std::size_t i = 0; i < evaluated; ++i)
      point.wrong.push_back(random.uniform() < 2 / std::sqrt(double(rows)) + 0.05);
    points.push_back(point);
  }
  return points;
}

TEST(LearningCurve, LawIsThatOfSciPy) {
  const auto& golden = golden_values().at("power_law");
  const PowerLaw law = fit_power_law(golden.at("rows").get<std::vector<double>>(),
                                     golden.at("errors").get<std::vector<double>>(),
                                     golden.at("weights").get<std::vector<double>>());
  EXPECT_NEAR(law.a, golden.at("fitted")[0], 1e-3);
  EXPECT_NEAR(law.b, golden.at("fitted")[1], 2e-4);
  EXPECT_NEAR(law.c, golden.at("fitted")[2], 2e-4);
}

TEST(LearningCurve, ExactPointsAreFoundAgain) {
  std::vector<double> rows, errors;
  for (double n = 50; n < 10000; n *= 2.5)
    rows.push_back(n), errors.push_back(3 / std::sqrt(n) + 0.02);
  const PowerLaw law = fit_power_law(rows, errors, std::vector<double>(rows.size(), 1));
  EXPECT_NEAR(law.a, 3, 1e-4);
  EXPECT_NEAR(law.b, 0.5, 1e-5);
  EXPECT_NEAR(law.c, 0.02, 1e-5);
}

TEST(LearningCurve, LawStaysWithinItsBounds) {
  const std::vector<double> rows{100, 200, 400, 800}, weights(4, 1);
  // Faster and faster: the asymptote may not go below nothing.
  const PowerLaw falling = fit_power_law(rows, std::vector<double>{0.4, 0.3, 0.18, 0.02}, weights);
  EXPECT_GE(falling.c, 0);
  EXPECT_GE(falling.a, 0);
  // Errors that grow: no law of this kind, so a level.
  const PowerLaw rising = fit_power_law(rows, std::vector<double>{0.1, 0.2, 0.3, 0.4}, weights);
  EXPECT_EQ(rising.a, 0);
  EXPECT_NEAR(rising.c, 0.25, 1e-12);
}

TEST(LearningCurve, IntervalsHoldTheTruth) {
  base::ThreadPool pool(2);
  std::size_t held = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const auto curve =
        LearningCurve::fit(drawn_points(1000, seed), {.draws = 200, .seed = seed}, pool);
    const Estimate error = curve.error(6400);
    held += error.interval.low <= 0.075 && 0.075 <= error.interval.high;
  }
  EXPECT_GE(held, 51U);  // of 60 at 95 %; the law's bounds skew some
}

TEST(LearningCurve, ForecastIsASentence) {
  base::ThreadPool pool(2);
  const auto curve = LearningCurve::fit(drawn_points(4000, 1), {.draws = 200}, pool);
  const Estimate gain = curve.gain(1600, 6400);
  EXPECT_NEAR(gain.value, 0.025, 0.015);
  EXPECT_LE(gain.interval.low, gain.value);
  EXPECT_GE(gain.interval.high, gain.value);
  EXPECT_TRUE(curve.forecast(1600, 4800).starts_with("4800 more labels ≈ +"))
      << curve.forecast(1600, 4800);
}

TEST(LearningCurve, ThreadsChangeNoBit) {
  base::ThreadPool one(1), four(4);
  const auto points = drawn_points(300, 1);
  const auto a = LearningCurve::fit(points, {.draws = 50}, one).error(5000);
  const auto b = LearningCurve::fit(points, {.draws = 50}, four).error(5000);
  EXPECT_EQ(a.interval.low, b.interval.low);
  EXPECT_EQ(a.interval.high, b.interval.high);
}

TEST(LearningCurve, PointsAreMeasuredOnNestedSubsets) {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 64; ++i) classes.push_back(i % 2);
  const std::vector<std::uint32_t> expected{0, 1, 0};
  std::vector<std::size_t> before;
  const auto points = measure_learning_points(
      classes, expected, nested_sizes(64, 2, 4), 1, [&](std::span<const std::size_t> rows) {
        EXPECT_TRUE(std::equal(before.begin(), before.end(), rows.begin()));
        before.assign(rows.begin(), rows.end());
        return std::vector<std::uint32_t>{0, static_cast<std::uint32_t>(rows.size() > 10), 0};
      });
  ASSERT_EQ(points.size(), 4U);
  EXPECT_EQ(points[0].rows, 8U);
  EXPECT_EQ(points[0].wrong, (std::vector<float>{0, 1, 0}));
  EXPECT_EQ(points[3].wrong, (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(nested_sizes(20, 6, 5), (std::vector<std::size_t>{20}));
}

TEST(LearningCurve, RowsMayHoldMoreThanOneAnswer) {
  base::ThreadPool pool(1);
  const auto single = drawn_points(300, 1);
  auto grouped = single;  // two rows of one answer are one of two
  for (LearningPoint& point : grouped) {
    std::vector<float> pairs;
    for (std::size_t i = 0; i < point.wrong.size(); i += 2)
      pairs.push_back(point.wrong[i] + point.wrong[i + 1]);
    point = {point.rows, pairs, std::vector<float>(pairs.size(), 2)};
  }
  const auto a = LearningCurve::fit(single, {.draws = 50}, pool).law();
  const auto b = LearningCurve::fit(grouped, {.draws = 50}, pool).law();
  EXPECT_EQ(a.a, b.a);
  EXPECT_EQ(a.b, b.b);
  EXPECT_EQ(a.c, b.c);
  // A row that holds more counts for more.
  auto uneven = single;
  for (LearningPoint& point : uneven) {
    point.of.assign(point.wrong.size(), 1);
    point.of[0] = 1000, point.wrong[0] = 500;
  }
  EXPECT_NEAR(LearningCurve::fit(uneven, {.draws = 50}, pool).error(400).value, 0.41, 0.03);
  const auto forecast = LearningCurve::fit(single, {.draws = 50}, pool).forecast(100, 20, "rows");
  EXPECT_TRUE(forecast.starts_with("20 more rows ≈ ")) << forecast;
}

TEST(LearningCurve, WhatCannotBeFittedIsRefused) {
  base::ThreadPool pool(1);
  auto points = drawn_points(10, 1);
  points[1].wrong.pop_back();
  EXPECT_THROW(LearningCurve::fit(points, {}, pool), base::Error);
  EXPECT_THROW(LearningCurve::fit({}, {}, pool), base::Error);
  for (const float each : {0.0F, -1.0F}) {
    points = drawn_points(10, 1);
    for (LearningPoint& point : points) point.of.assign(10, each);
    EXPECT_THROW(LearningCurve::fit(points, {}, pool), base::Error);
    points[0].of.assign(10, 1);  // not that of the others
    EXPECT_THROW(LearningCurve::fit(points, {}, pool), base::Error);
  }
  points = drawn_points(10, 1);
  points.resize(2);
  EXPECT_THROW(LearningCurve::fit(points, {}, pool), base::Error);
}

}  // namespace
}  // namespace malina::eval
