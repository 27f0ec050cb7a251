#include "platform/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace malina::platform {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(MetricsText, SamplesHaveNamesLabelsAndValues) {
  const auto samples = parse_metrics(
      "# HELP a What it is\n# TYPE a counter\na 12\n\n"
      "b{model=\"x\",key=\"\"} 1.5e+03 1700000000\nc{le=\"+Inf\",} +Inf\nd NaN");
  ASSERT_EQ(samples.size(), 4U);
  EXPECT_EQ(samples[0].name, "a");
  EXPECT_EQ(samples[0].value, 12);
  EXPECT_EQ(samples[1].label("model"), "x");
  EXPECT_EQ(samples[1].label("key"), "");
  EXPECT_EQ(samples[1].value, 1500);
  EXPECT_EQ(samples[2].label("le"), "+Inf");
  EXPECT_EQ(samples[2].value, kInfinity);
  EXPECT_TRUE(std::isnan(samples[3].value));
}

TEST(MetricsText, LabelsAreUnescaped) {
  const auto samples = parse_metrics(R"(a{m="a\"b\\c\nd} 1"} 2)");
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].label("m"), "a\"b\\c\nd} 1");
  EXPECT_EQ(samples[0].value, 2);
}

TEST(MetricsText, OtherTextIsRefused) {
  for (const char* text :
       {"<html>", "a", "a ", "a x", "a 1x", "a{", "a{b", "a{b=", "a{b=\"", "a{b=\"\\", "a{b=\"c\"",
        "a{b=\"c\"} ", "a{b=\"c\"x=\"d\"} 1", "{} 1", " a 1"}) {
    try {
      parse_metrics(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::unsupported) << text;
    }
  }
}

MetricHistogram histogram(double one, double two, double four, double all) {
  MetricHistogram result;
  result.add(1, one);
  result.add(2, two);
  result.add(4, four);
  result.add(kInfinity, all);
  return result;
}

TEST(MetricHistogram, QuantilesSpreadEvenlyWithinABucket) {
  const auto of = histogram(10, 30, 40, 40);
  EXPECT_DOUBLE_EQ(*of.quantile(0.125), 0.5);
  EXPECT_DOUBLE_EQ(*of.quantile(0.5), 1.5);
  EXPECT_DOUBLE_EQ(*of.quantile(1), 4);
  EXPECT_DOUBLE_EQ(*histogram(0, 0, 0, 3).quantile(0.5), 4) << "more is not known";
  EXPECT_DOUBLE_EQ(*histogram(0, 0, 8, 8).quantile(0), 2);
  EXPECT_FALSE(histogram(0, 0, 0, 0).quantile(0.5));
  EXPECT_FALSE(MetricHistogram().quantile(0.5));
}

TEST(MetricHistogram, DifferencesAreOfWhatCameSince) {
  const auto since = histogram(10, 30, 40, 41).since(histogram(10, 20, 30, 30));
  EXPECT_EQ(since.count(), 11);
  EXPECT_DOUBLE_EQ(*since.quantile(0.5), 1.55);
  EXPECT_EQ(histogram(1, 1, 1, 1).since(histogram(5, 5, 5, 5)).count(), 1) << "it began anew";
}

}  // namespace

}  // namespace malina::platform
