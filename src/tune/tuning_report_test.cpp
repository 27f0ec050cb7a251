#include "tune/tuning_report.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace malina::tune {
namespace {

TEST(StepLosses, AreMeansThatMissNoStep) {
  std::vector<float> losses;
  for (int i = 0; i < 1234; ++i) losses.push_back(static_cast<float>(i));
  const auto points = step_losses(losses);
  ASSERT_EQ(points.size(), kMostPoints);
  EXPECT_EQ(points.back().step, 1234U);
  double sum = 0;
  std::uint64_t before = 0;
  for (const StepLoss& point : points) {
    sum += point.loss * static_cast<double>(point.step - before);
    before = point.step;
  }
  EXPECT_NEAR(sum, 1234.0 * 1233 / 2, 1e-6);
  EXPECT_EQ(step_losses(std::span(losses).first(3)).size(), 3U);
  EXPECT_TRUE(step_losses({}).empty());
}

TEST(AnswerReport, KeepsTheEndsOfTheCurve) {
  base::Random random(1);
  std::vector<std::uint32_t> expected;
  eval::ProbabilityTable table{.classes = 2, .values = {}};
  for (int i = 0; i < 5000; ++i) {
    const double p = random.uniform();
    expected.push_back(random.uniform() < p ? 1 : 0);
    table.values.push_back(1 - p);
    table.values.push_back(p);
  }
  const AnswerReport report = answer_report(expected, table);
  const auto whole = eval::risk_coverage(expected, table);
  EXPECT_LE(report.risk_coverage.size(), kMostPoints);
  EXPECT_GE(report.risk_coverage.size(), kMostPoints - 5);
  EXPECT_EQ(report.risk_coverage.front().threshold, whole.front().threshold);
  EXPECT_EQ(report.risk_coverage.back().coverage, 1);
  EXPECT_EQ(report.risk_coverage.back().risk, whole.back().risk);
  for (std::size_t i = 1; i < report.risk_coverage.size(); ++i)
    EXPECT_LT(report.risk_coverage[i].coverage - report.risk_coverage[i - 1].coverage, 0.03);
  EXPECT_EQ(report.classes[0].rows + report.classes[1].rows, 5000U);
  EXPECT_EQ(report.confusions.size(), 2U);
}

}  // namespace
}  // namespace malina::tune
