#include "eval/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "eval/golden_values.h"

namespace malina::eval {
namespace {

using Classes = std::vector<std::uint32_t>;

struct Answers {
  Classes labels;
  ProbabilityTable table;
};

Answers golden_answers() {
  const auto& golden = golden_values().at("calibration");
  return {golden.at("labels"), {golden.at("classes"), golden.at("table")}};
}

// Rows whose label is drawn from `truth` = softmax(logits), shown as softmax(logits * sharpness).
Answers drawn(std::size_t rows, double sharpness, std::uint64_t seed) {
  base::Random random(seed);
  Answers result{{}, {4, {}}};
  for (std::size_t i = 0; i < rows; ++i) {
    double truth[4], shown[4], sum = 0, shown_sum = 0;
    for (int k = 0; k < 4; ++k) {
      const double logit = 6 * random.uniform();
      truth[k] = std::exp(logit), shown[k] = std::exp(sharpness * logit);
      sum += truth[k], shown_sum += shown[k];
    }
    double left = random.uniform() * sum;
    std::uint32_t label = 0;
    while (label < 3 && left >= truth[label]) left -= truth[label++];
    result.labels.push_back(label);
    for (const double value : shown) result.table.values.push_back(value / shown_sum);
  }
  return result;
}

TEST(Calibration, MeasuresAreThoseOfSciPyAndScikitLearn) {
  const auto& golden = golden_values().at("calibration");
  const Answers answers = golden_answers();
  const CalibrationMeasures measures = measure_calibration(answers.labels, answers.table);
  EXPECT_NEAR(measures.expected_calibration_error, golden.at("ece"), 1e-9);
  EXPECT_NEAR(measures.brier, golden.at("brier"), 1e-9);
  EXPECT_NEAR(measures.negative_log_likelihood, golden.at("nll"), 1e-9);
  EXPECT_NEAR(measures.risk_coverage_area, golden.at("risk_coverage_area"), 1e-9);
  EXPECT_NEAR(fit_temperature(answers.labels, answers.table), golden.at("temperature"), 1e-6);
  EXPECT_NEAR(conformal_quantile(answers.labels, answers.table, 0.9),
              golden.at("conformal_quantile"), 1e-12);
  std::vector<double> right, wrong;
  for (std::size_t i = 0; i < answers.labels.size(); ++i) {
    const std::size_t answer = likeliest(answers.table.row(i));
    (answer == answers.labels[i] ? right : wrong).push_back(answers.table.row(i)[answer]);
  }
  EXPECT_NEAR(auroc(right, wrong), golden.at("auroc_of_right"), 1e-12);
}

TEST(Temperature, UndoesASharpnessThatIsKnown) {
  for (const double sharpness : {0.4, 1.0, 2.5}) {
    const Answers answers = drawn(4000, sharpness, 1);
    EXPECT_NEAR(fit_temperature(answers.labels, answers.table), sharpness, 0.1 * sharpness);
    const Answers others = drawn(4000, sharpness, 2);
    const auto measures =
        measure_calibration(others.labels, with_temperature(others.table, sharpness));
    EXPECT_LT(measures.expected_calibration_error, 0.03);
  }
}

TEST(Temperature, EndsAtItsBoundsWhereThereIsNoMinimum) {
  const Classes labels{0, 0};
  const ProbabilityTable right{2, {0.9, 0.1, 0.8, 0.2}}, wrong{2, {0.1, 0.9, 0.2, 0.8}};
  const ProbabilityTable certain{2, {1, 0, 0, 1}};
  EXPECT_EQ(fit_temperature(labels, right), kLeastTemperature);
  EXPECT_EQ(fit_temperature(labels, wrong), kMostTemperature);
  EXPECT_GT(fit_temperature(labels, certain), 1);
  std::vector<double> row{1, 0};
  apply_temperature(row, 2);
  EXPECT_NEAR(row[0] + row[1], 1, 1e-12);
  EXPECT_THROW(apply_temperature(row, 0), base::Error);
}

TEST(Calibration, BinsHoldTheirUpperBorder) {
  const ProbabilityTable table{2, {0.6, 0.4, 0.61, 0.39, 1, 0}};
  const auto measures = measure_calibration(Classes{0, 1, 0}, table, 5);
  ASSERT_EQ(measures.bins.size(), 5U);
  EXPECT_EQ(measures.bins[2].rows, 1U);  // (0.4, 0.6]
  EXPECT_EQ(measures.bins[3].rows, 1U);
  EXPECT_EQ(measures.bins[4].rows, 1U);
  EXPECT_NEAR(measures.expected_calibration_error, (0.4 + 0.61 + 0) / 3, 1e-12);
}

// Against labels that are drawn as the confidences say.
TEST(Calibration, ErrorByChanceIsThatOfWhatIsCalibrated) {
  for (const std::size_t rows : {40U, 400U}) {
    double errors = 0, chance = 0;
    constexpr int kTrials = 400;
    for (int trial = 0; trial < kTrials; ++trial) {
      const Answers answers = drawn(rows, 1, 5000 + static_cast<std::uint64_t>(trial));
      const auto measures = measure_calibration(answers.labels, answers.table);
      errors += measures.expected_calibration_error / kTrials;
      chance += measures.calibration_error_by_chance / kTrials;
    }
    EXPECT_NEAR(chance, errors, 0.05 * errors) << rows;
    EXPECT_GT(chance, rows == 40 ? 0.05 : 0.01);
  }
  // Certain answers leave nothing to chance.
  const ProbabilityTable certain{2, {1, 0, 1, 0}};
  EXPECT_EQ(measure_calibration(Classes{0, 0}, certain).calibration_error_by_chance, 0);
}

TEST(RiskCoverage, EqualConfidencesErrAlike) {
  // The wrong one of two equals must not matter by its place.
  const ProbabilityTable table{2, {0.9, 0.1, 0.7, 0.3, 0.7, 0.3}};
  const double area = risk_coverage_area(Classes{0, 0, 1}, table);
  EXPECT_DOUBLE_EQ(area, risk_coverage_area(Classes{0, 1, 0}, table));
  EXPECT_DOUBLE_EQ(area, (0 + 0.5 / 2 + 1.0 / 3) / 3);
  const auto points = risk_coverage(Classes{0, 0, 1}, table);
  ASSERT_EQ(points.size(), 2U);
  EXPECT_DOUBLE_EQ(points[0].coverage, 1.0 / 3);
  EXPECT_DOUBLE_EQ(points[1].risk, 1.0 / 3);
}

TEST(Abstention, TakesTheMostAnswersThatReachTheTarget) {
  // Confidence 0.99, 0.98, ... ; the 5th and the 9th and 10th are wrong.
  ProbabilityTable table{2, {}};
  Classes labels(10, 0);
  for (int i = 0; i < 10; ++i) {
    table.values.push_back(0.99 - 0.01 * i);
    table.values.push_back(0.01 + 0.01 * i);
  }
  labels[4] = labels[8] = labels[9] = 1;
  const auto threshold = fit_abstention(labels, table, 0.87);
  ASSERT_TRUE(threshold);
  EXPECT_DOUBLE_EQ(threshold->coverage, 0.8);
  EXPECT_DOUBLE_EQ(threshold->accuracy, 0.875);
  EXPECT_NEAR(threshold->threshold, 0.92, 1e-12);
  EXPECT_EQ(threshold->rows, 8U);
  EXPECT_NEAR(threshold->accuracy_low(), 0.5293, 1e-4);  // SciPy: beta.ppf(0.05, 7, 2)
  EXPECT_FALSE(fit_abstention(Classes(10, 1), table, 0.5));
  EXPECT_FALSE(fit_abstention(labels, table, 0.87, 0.95)) << "ten rows prove nothing";
  EXPECT_THROW(fit_abstention(labels, table, 1.5), base::Error);
  EXPECT_THROW(fit_abstention(labels, table, 0.9, 1), base::Error);
}

// Of 400 thresholds fitted with a guarantee of 90 %, at most 10 % may be worse than the target on
// what comes after; without a guarantee about half are.
TEST(Abstention, GuaranteeHolds) {
  const Answers later = drawn(20000, 1, 999);
  std::size_t broken = 0, broken_without = 0, found = 0;
  const auto falls_short = [&](double threshold) {
    double answered = 0, right = 0;
    for (std::size_t i = 0; i < later.labels.size(); ++i) {
      const std::size_t answer = likeliest(later.table.row(i));
      if (later.table.row(i)[answer] < threshold) continue;
      answered += 1, right += answer == later.labels[i];
    }
    return right < 0.75 * answered;
  };
  for (std::uint64_t trial = 1; trial <= 400; ++trial) {
    const Answers answers = drawn(300, 1, trial);
    if (const auto proven = fit_abstention(answers.labels, answers.table, 0.75, 0.9)) {
      ++found;
      broken += falls_short(proven->threshold);
    }
    if (const auto plain = fit_abstention(answers.labels, answers.table, 0.75))
      broken_without += falls_short(plain->threshold);
  }
  EXPECT_GT(found, 300U);
  EXPECT_LE(broken, 40U);
  EXPECT_GT(broken_without, 100U);
}

TEST(Conformal, SetsHoldTheLabelAsOftenAsTheyPromise) {
  double covered = 0, rows = 0;
  for (std::uint64_t trial = 1; trial <= 50; ++trial) {
    const Answers fitted = drawn(199, 0.7, trial), later = drawn(400, 0.7, 1000 + trial);
    const double quantile = conformal_quantile(fitted.labels, fitted.table, 0.9);
    for (std::size_t i = 0; i < later.labels.size(); ++i) {
      const auto set = conformal_set(later.table.row(i), quantile);
      covered += std::find(set.begin(), set.end(), later.labels[i]) != set.end();
      rows += 1;
    }
  }
  EXPECT_NEAR(covered / rows, 0.9, 0.015);
}

TEST(Conformal, TooFewRowsPromiseEveryClass) {
  const Answers answers = drawn(5, 1, 1);
  const double quantile = conformal_quantile(answers.labels, answers.table, 0.95);
  EXPECT_EQ(quantile, 1);
  EXPECT_EQ(conformal_set(answers.table.row(0), quantile).size(), 4U);
}

TEST(Calibration, PartsAreFittedApartAndReproducibly) {
  const Answers answers = drawn(3000, 0.5, 3);
  const CalibrationOptions options{.target_accuracy = 0.9, .conformal_coverage = 0.9};
  const Calibration fitted = fit_calibration(answers.labels, answers.table, options);
  EXPECT_NEAR(fitted.temperature, 0.5, 0.06);
  ASSERT_TRUE(fitted.abstention);
  EXPECT_GE(fitted.abstention->accuracy, 0.9);
  EXPECT_EQ(fit_calibration(answers.labels, answers.table, options).conformal_quantile,
            fitted.conformal_quantile);
  EXPECT_THROW(fit_calibration(Classes{0, 1}, ProbabilityTable{2, {1, 0, 0, 1}}, options),
               base::Error);
}

// Class 0 is out of scope; of its five rows one is answered with it, four with others.
const Classes kScopeLabels{0, 0, 0, 0, 0, 1, 1, 2, 2, 2};
const ProbabilityTable kScopeTable{3, {0.8, 0.1, 0.1,    //
                                       0.1, 0.3, 0.6,    //
                                       0.2, 0.5, 0.3,    //
                                       0.3, 0.3, 0.4,    //
                                       0.0, 0.1, 0.9,    //
                                       0.1, 0.9, 0.0,    // right
                                       0.2, 0.3, 0.5,    // wrong
                                       0.1, 0.2, 0.7,    // right
                                       0.6, 0.1, 0.3,    // taken for out of scope
                                       0.3, 0.2, 0.5}};  // right

TEST(Scope, TheLowestThresholdThatRecognisesEnough) {
  // The own answer alone is 1 of 5; two of the others are below 0.6.
  const auto threshold = fit_scope(kScopeLabels, kScopeTable, 0, 0.6);
  EXPECT_GT(threshold.threshold, 0.5);
  EXPECT_LT(threshold.threshold, 0.5 + 1e-9);
  EXPECT_DOUBLE_EQ(threshold.coverage, 0.4);
  EXPECT_DOUBLE_EQ(threshold.accuracy, 1);
  EXPECT_GT(fit_scope(kScopeLabels, kScopeTable, 0, 0.61).threshold, 0.6);
  EXPECT_GT(fit_scope(kScopeLabels, kScopeTable, 0, 1).threshold, 0.9);
  const auto none = fit_scope(kScopeLabels, kScopeTable, 0, 0.2);
  EXPECT_EQ(none.threshold, 0);
  EXPECT_DOUBLE_EQ(none.coverage, 0.8);
  EXPECT_DOUBLE_EQ(none.accuracy, 0.75);
}

// A table of `out` rows out of scope (class 0), taken for class 1 at these confidences, and one row
// in scope.
AbstentionThreshold scope_of(const std::vector<double>& confidences, double recall,
                             double guarantee) {
  Classes labels(confidences.size(), 0);
  ProbabilityTable table{2, {}};
  for (const double confidence : confidences)
    table.values.insert(table.values.end(), {1 - confidence, confidence});
  labels.push_back(1);
  table.values.insert(table.values.end(), {0, 1});
  return fit_scope(labels, table, 0, recall, guarantee);
}

// As many as Clopper and Pearson's bound leaves, by the binomial distribution itself: of 67 rows 7
// where 8 tenths are to be recognised, of 14 none, of fewer no number would do.
TEST(Scope, AGuaranteeLeavesOutAsManyAsTheBoundAllows) {
  for (const auto& [rows, missed] : {std::pair(5, 0), {14, 0}, {22, 1}, {67, 7}, {100, 13}}) {
    std::vector<double> confidences;
    for (int i = 0; i < rows; ++i) confidences.push_back(0.51 + 0.4 * i / rows);
    const double first_recognised = confidences[static_cast<std::size_t>(rows - 1 - missed)];
    const double threshold = scope_of(confidences, 0.8, 0.95).threshold;
    EXPECT_GT(threshold, first_recognised) << rows;
    EXPECT_LT(threshold, first_recognised + 1e-9) << rows;
  }
}

TEST(Scope, AGuaranteeHoldsOnOtherRows) {
  base::Random random(7);
  int kept = 0, kept_without = 0;
  constexpr int kDraws = 1000;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<double> confidences(67);
    for (double& each : confidences) each = 0.5 + random.uniform() / 2;
    const auto recall = [&](double guarantee) {  // of all rows of this source
      return (scope_of(confidences, 0.8, guarantee).threshold - 0.5) / 0.5;
    };
    kept += recall(0.95) >= 0.8 ? 1 : 0;
    kept_without += recall(0) >= 0.8 ? 1 : 0;
  }
  EXPECT_GE(kept, 0.95 * kDraws - 14);  // two standard deviations of the draws
  EXPECT_LT(kept_without, 0.65 * kDraws);
}

TEST(Scope, IsMeasuredAsItAnswers) {
  const Calibration calibration{.abstention = fit_scope(kScopeLabels, kScopeTable, 0, 0.6),
                                .out_of_scope = 0};
  EXPECT_TRUE(calibration.abstains(kScopeTable.row(0))) << "its answer is that there is none";
  EXPECT_TRUE(calibration.abstains(kScopeTable.row(2)));
  EXPECT_FALSE(calibration.abstains(kScopeTable.row(1)));
  const ScopeMeasures measures = measure_scope(kScopeLabels, kScopeTable, calibration);
  EXPECT_EQ(measures.in_scope, 5U);
  EXPECT_EQ(measures.out_of_scope, 5U);
  EXPECT_DOUBLE_EQ(measures.accuracy, 0.4);
  EXPECT_DOUBLE_EQ(measures.recall, 0.6);
  // In scope 0.9 0.5 0.7 0.3 0.5, out of it 0.1 0.6 0.5 0.4 0.9: 14.5 of 25 pairs in order.
  EXPECT_DOUBLE_EQ(measures.auroc, 14.5 / 25);
}

TEST(Scope, ProbabilitiesStayApartWhereNothingWasWrong) {
  ProbabilityTable table{3, {}};
  Classes labels;
  for (int i = 0; i < 60; ++i) {
    const double sure = 0.6 + 0.005 * i;
    labels.push_back(static_cast<std::uint32_t>(i % 3));
    for (int k = 0; k < 3; ++k) table.values.push_back(k == i % 3 ? sure : (1 - sure) / 2);
  }
  const Calibration fitted = fit_calibration(labels, table, {.out_of_scope = 0});
  EXPECT_EQ(fitted.temperature, kTemperatureOfNoErrors);
  const auto shown = with_temperature(table, fitted.temperature);
  EXPECT_LT(shown.row(0)[0], shown.row(59)[2]);
  EXPECT_LT(shown.row(59)[2], 1);
}

TEST(Scope, ACalibrationKeepsTheMarginUnlessNoneIsAskedFor) {
  base::Random random(3);
  ProbabilityTable table{3, {}};
  Classes labels;
  for (std::uint32_t i = 0; i < 600; ++i) {  // a third out of scope, taken for one of the others
    labels.push_back(i % 3);
    const double sure = (i % 3 == 0 ? 0.5 : 0.7) + 0.3 * random.uniform();
    const std::uint32_t answer = i % 3 == 0 ? 1 + i % 2 : i % 3;
    for (std::uint32_t k = 0; k < 3; ++k)
      table.values.push_back(k == answer ? sure : (1 - sure) / 2);
  }
  const auto threshold = [&](const CalibrationOptions& options) {
    return fit_calibration(labels, table, options).abstention.value().threshold;
  };
  const double kept = threshold({.out_of_scope = 0});
  EXPECT_EQ(kept, threshold({.out_of_scope = 0, .out_of_scope_guarantee = 0.95}));
  EXPECT_GT(kept, threshold({.out_of_scope = 0, .out_of_scope_guarantee = 0}));
}

TEST(Scope, WhatCannotBeFittedIsRefused) {
  EXPECT_THROW(fit_scope(kScopeLabels, kScopeTable, 0, 0), base::Error);
  EXPECT_THROW(fit_scope(kScopeLabels, kScopeTable, 0, 1.1), base::Error);
  EXPECT_THROW(fit_scope(kScopeLabels, kScopeTable, 0, 0.8, 1), base::Error);
  EXPECT_THROW(fit_scope(kScopeLabels, kScopeTable, 0, 0.8, -0.1), base::Error);
  EXPECT_THROW(fit_scope(Classes(10, 1), kScopeTable, 0, 0.5), base::Error);
  EXPECT_THROW(fit_scope(Classes(10, 0), kScopeTable, 0, 0.5), base::Error);
  EXPECT_THROW(fit_scope(Classes(9, 0), kScopeTable, 0, 0.5), base::Error);
}

TEST(Calibration, SizesMustFit) {
  const ProbabilityTable table{2, {0.5, 0.5}};
  EXPECT_THROW(measure_calibration(Classes{}, {2, {}}), base::Error);
  EXPECT_THROW(measure_calibration(Classes{0, 1}, table), base::Error);
  EXPECT_THROW(fit_temperature(Classes{2}, table), base::Error);
  EXPECT_THROW(conformal_quantile(Classes{0}, table, 1), base::Error);
  EXPECT_THROW(auroc({}, std::vector<double>{1}), base::Error);
}

}  // namespace
}  // namespace malina::eval
