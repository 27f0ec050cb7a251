#include "eval/confusion.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::eval {
namespace {

const std::vector<std::uint32_t> kExpected{0, 1, 2, 2, 0, 1, 1, 2},
    kPredicted{0, 2, 2, 2, 1, 1, 2, 0};

// Values of scikit-learn 1.9, precision_recall_fscore_support(expected, predicted, labels=range(4),
// zero_division=0).
TEST(ClassScores, AreThoseOfScikitLearn) {
  const auto scores = class_scores(kExpected, kPredicted, 4);
  ASSERT_EQ(scores.size(), 4U);
  const double precision[]{0.5, 0.5, 0.5, 0}, recall[]{0.5, 1.0 / 3, 2.0 / 3, 0},
      f1[]{0.5, 0.4, 0.5714285714285714, 0};
  const std::size_t rows[]{2, 3, 3, 0};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_NEAR(scores[k].precision, precision[k], 1e-12) << k;
    EXPECT_NEAR(scores[k].recall, recall[k], 1e-12) << k;
    EXPECT_NEAR(scores[k].f1, f1[k], 1e-12) << k;
    EXPECT_EQ(scores[k].rows, rows[k]) << k;
  }
}

TEST(ClassScores, RefusesOtherSizesAndClasses) {
  EXPECT_THROW(class_scores(kExpected, kPredicted, 2), base::Error);
  EXPECT_THROW(class_scores(kExpected, std::vector<std::uint32_t>{0}, 3), base::Error);
}

TEST(Confusions, TheMostFrequentFirst) {
  const auto pairs = confusions(kExpected, kPredicted);
  ASSERT_EQ(pairs.size(), 3U);
  EXPECT_EQ(pairs[0].expected, 1U);
  EXPECT_EQ(pairs[0].predicted, 2U);
  EXPECT_EQ(pairs[0].rows, 2U);
  EXPECT_EQ(pairs[1].expected, 0U);  // of equal ones the first
  EXPECT_EQ(pairs[2].expected, 2U);
}

}  // namespace
}  // namespace malina::eval
