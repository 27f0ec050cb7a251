#include "eval/blend.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace malina::eval {
namespace {

constexpr std::size_t kClasses = 4;

// A classifier that sees the label through noise: logits are normal, the label's is higher by
// `skill`.
ProbabilityTable noisy(std::span<const std::uint32_t> labels, double skill, std::uint64_t seed) {
  base::Random random(seed);
  ProbabilityTable table{.classes = kClasses, .values = {}};
  for (const std::uint32_t label : labels) {
    double sum = 0;
    std::vector<double> row(kClasses);
    for (std::size_t c = 0; c < kClasses; ++c) {
      double noise = 0;
      for (int i = 0; i < 12; ++i) noise += random.uniform();
      row[c] = std::exp(noise - 6 + (c == label ? skill : 0));
      sum += row[c];
    }
    for (const double value : row) table.values.push_back(value / sum);
  }
  return table;
}

double loss(std::span<const std::uint32_t> labels, const ProbabilityTable& table) {
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) sum -= std::log(table.row(i)[labels[i]]);
  return sum / static_cast<double>(labels.size());
}

std::vector<std::uint32_t> labels_of(std::size_t count) {
  base::Random random(9);
  std::vector<std::uint32_t> labels;
  for (std::size_t i = 0; i < count; ++i)
    labels.push_back(static_cast<std::uint32_t>(random.below(kClasses)));
  return labels;
}

TEST(Blend, OfIndependentClassifiersIsBetterThanEach) {
  const auto labels = labels_of(2000);
  const auto first = noisy(labels, 2, 1), second = noisy(labels, 1.5, 2);
  const std::vector<const ProbabilityTable*> members{&first, &second};
  const auto weights = fit_blend(labels, members);
  const double together = loss(labels, blend(members, weights));
  EXPECT_LT(together, loss(labels, first) - 0.05);
  EXPECT_LT(together, loss(labels, second) - 0.05);
  // Nowhere near is anything better.
  for (const double a : {-0.05, 0.05})
    for (const double b : {-0.05, 0.05}) {
      const std::vector<double> moved{weights[0] + a, weights[1] + b};
      EXPECT_GE(loss(labels, blend(members, moved)), together);
    }
  EXPECT_NEAR(loss(labels, cross_fitted_blend(labels, members, 1)), together, 0.01);
}

TEST(Blend, WhatKnowsNothingGetsNoSay) {
  const auto labels = labels_of(2000);
  const auto good = noisy(labels, 2, 1), noise = noisy(labels, 0, 2), wrong = noisy(labels, -1, 3);
  const std::vector<const ProbabilityTable*> members{&good, &noise, &wrong};
  const auto weights = fit_blend(labels, members);
  EXPECT_GT(weights[0], 0.5);
  EXPECT_LT(weights[1], 0.1);
  EXPECT_EQ(weights[2], 0);
}

TEST(Blend, OfOneIsATemperature) {
  const auto labels = labels_of(2000);
  auto table = noisy(labels, 2, 1);
  const std::vector<const ProbabilityTable*> members{&table};
  const double alone = fit_blend(labels, members)[0];
  for (std::size_t i = 0; i < table.rows(); ++i) {  // four times as sure as it was
    double sum = 0;
    for (double& p : table.row(i)) sum += p = std::pow(p, 4);
    for (double& p : table.row(i)) p /= sum;
  }
  EXPECT_NEAR(fit_blend(labels, members)[0], alone / 4, 0.01);
}

TEST(Blend, StaysFiniteWhereAllAgree) {
  const std::vector<std::uint32_t> labels{0, 1, 0, 1};
  const ProbabilityTable sure{.classes = 2, .values = {1, 0, 0, 1, 1, 0, 0, 1}};
  const std::vector<const ProbabilityTable*> members{&sure, &sure};
  for (const double weight : fit_blend(labels, members)) {
    EXPECT_TRUE(std::isfinite(weight));
    EXPECT_GE(weight, 0);
  }
  const auto table = blend(members, fit_blend(labels, members));
  EXPECT_GT(table.row(0)[0], 0.99);
}

TEST(Blend, RefusesWhatDoesNotFit) {
  const auto labels = labels_of(10);
  const auto table = noisy(labels, 1, 1);
  const std::vector<const ProbabilityTable*> members{&table}, none;
  EXPECT_THROW(fit_blend(labels_of(9), members), base::Error);
  EXPECT_THROW(fit_blend(labels, none), base::Error);
  EXPECT_THROW(blend(members, std::vector<double>{1, 2}), base::Error);
}

}  // namespace
}  // namespace malina::eval
