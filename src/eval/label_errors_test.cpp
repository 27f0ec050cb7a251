#include "eval/label_errors.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::eval {
namespace {

TEST(LabelErrors, RowsOffTheDiagonalOfTheConfidentJointAreSuspected) {
  // Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.7 + 0.5 + 0.2) / 3 = 0.467.
  const std::vector<std::uint32_t> labels{0, 0, 0, 1, 1, 1};
  const ProbabilityTable table{2, {0.9, 0.1, 0.8, 0.2, 0.1, 0.9, 0.3, 0.7, 0.5, 0.5, 0.8, 0.2}};
  const auto suspected = suspected_label_errors(labels, table);
  ASSERT_EQ(suspected.size(), 2U);
  EXPECT_EQ(suspected[0].row, 2U);
  EXPECT_EQ(suspected[0].given, 0U);
  EXPECT_EQ(suspected[0].suggested, 1U);
  EXPECT_DOUBLE_EQ(suspected[0].margin, 0.8);
  EXPECT_EQ(suspected[1].row, 5U);
  EXPECT_NEAR(suspected[1].margin, 0.6, 1e-12);
}

TEST(LabelErrors, WrongAnswersBelowTheThresholdAreNotSuspected) {
  // Row 3 looks like class 0, but less than class 0 itself does.
  const std::vector<std::uint32_t> labels{0, 0, 1, 1};
  const ProbabilityTable table{2, {0.95, 0.05, 0.95, 0.05, 0.1, 0.9, 0.6, 0.4}};
  EXPECT_TRUE(suspected_label_errors(labels, table).empty());
}

TEST(LabelErrors, ClassWithoutRowsIsNeverSuggested) {
  const std::vector<std::uint32_t> labels{0, 1};
  const ProbabilityTable table{3, {0.2, 0.1, 0.7, 0.1, 0.2, 0.7}};
  EXPECT_TRUE(suspected_label_errors(labels, table).empty());
}

TEST(LabelErrors, SizesMustFit) {
  const ProbabilityTable table{2, {0.5, 0.5}};
  EXPECT_THROW(suspected_label_errors(std::vector<std::uint32_t>{0, 1}, table), base::Error);
  EXPECT_THROW(suspected_label_errors(std::vector<std::uint32_t>{2}, table), base::Error);
}

}  // namespace
}  // namespace malina::eval
