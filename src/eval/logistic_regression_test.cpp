#include "eval/logistic_regression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "base/random.h"

namespace malina::eval {
namespace {

struct Problem {
  SparseRows rows;
  std::vector<std::uint32_t> labels;
};

// Rows of 6 of 40 columns, whose class is what their first columns lean to, with noise.
Problem random_problem(std::size_t count, std::uint32_t classes) {
  base::Random random(5);
  Problem problem;
  problem.rows.width = 40;
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint32_t>(random.below(classes));
    SparseRow row;
    for (std::uint32_t column = 0; column < 40; ++column)
      if (random.below(column % classes == label ? 3 : 8) == 0) {
        row.columns.push_back(column);
        row.values.push_back(random.uniform(0.2F, 1.0F));
      }
    problem.rows.add(row);
    problem.labels.push_back(label);
  }
  return problem;
}

std::vector<double> scores_of(const Problem& problem, const LogisticWeights& weights,
                              std::size_t i) {
  const std::size_t begin = problem.rows.begins[i], count = problem.rows.begins[i + 1] - begin;
  std::vector<double> scores(weights.classes);
  weights.scores(std::span(problem.rows.columns).subspan(begin, count),
                 std::span(problem.rows.values).subspan(begin, count), scores);
  return scores;
}

// The gradient of the objective that the header states, for one class: it is zero at the minimum.
double gradient_length(const Problem& problem, const LogisticWeights& weights, std::uint32_t k,
                       double cost) {
  std::vector<double> gradient(weights.width + 1);
  for (std::size_t column = 0; column < gradient.size(); ++column)
    gradient[column] = weights.weights[column * weights.classes + k];
  for (std::size_t i = 0; i < problem.labels.size(); ++i) {
    const double y = problem.labels[i] == k ? 1 : -1;
    const double pull = -cost * y / (1 + std::exp(y * scores_of(problem, weights, i)[k]));
    for (std::size_t at = problem.rows.begins[i]; at < problem.rows.begins[i + 1]; ++at)
      gradient[problem.rows.columns[at]] += pull * problem.rows.values[at];
    gradient.back() += pull;
  }
  double squares = 0;
  for (const double g : gradient) squares += g * g;
  return std::sqrt(squares);
}

TEST(LogisticRegression, EveryClassIsAtTheMinimumOfItsObjective) {
  base::ThreadPool pool(2);
  const Problem problem = random_problem(200, 4);
  const LogisticOptions exact{.cost = 3, .tolerance = 1e-6};
  const LogisticWeights weights = fit_logistic(problem.rows, problem.labels, 4, exact, pool);
  for (std::uint32_t k = 0; k < 4; ++k)
    EXPECT_LT(gradient_length(problem, weights, k, 3), 1e-3) << "class " << k;
}

TEST(LogisticRegression, TwoClassesAreOneProblem) {
  base::ThreadPool pool(1);
  const Problem problem = random_problem(100, 2);
  const LogisticOptions exact{.cost = 2, .tolerance = 1e-6};
  const LogisticWeights weights = fit_logistic(problem.rows, problem.labels, 2, exact, pool);
  EXPECT_LT(gradient_length(problem, weights, 0, 2), 1e-3);
  EXPECT_LT(gradient_length(problem, weights, 1, 2), 1e-3);
  const auto scores = scores_of(problem, weights, 0);
  EXPECT_EQ(scores[0], -scores[1]);
}

TEST(LogisticRegression, ThreadsChangeNoBit) {
  base::ThreadPool one(1), four(4);
  const Problem problem = random_problem(300, 7);
  EXPECT_EQ(fit_logistic(problem.rows, problem.labels, 7, {}, one).weights,
            fit_logistic(problem.rows, problem.labels, 7, {}, four).weights);
}

TEST(LogisticRegression, StopsBeforeTheNextClass) {
  const Problem problem = random_problem(300, 7);
  for (const unsigned threads : {1U, 3U}) {
    base::ThreadPool pool(threads);
    const auto caller = std::this_thread::get_id();
    int asked = 0;
    const auto stop = [&] {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      return ++asked == (threads == 1 ? 3 : 1);  // the others may take all classes
    };
    try {
      fit_logistic(problem.rows, problem.labels, 7, {.stop = stop}, pool);
      ADD_FAILURE() << "it went on";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::cancelled);
    }
    EXPECT_EQ(asked, threads == 1 ? 3 : 1);
    const auto never = [] { return false; };
    EXPECT_EQ(fit_logistic(problem.rows, problem.labels, 7, {.stop = never}, pool).weights,
              fit_logistic(problem.rows, problem.labels, 7, {}, pool).weights);
  }
  base::ThreadPool pool(1);
  const Problem two = random_problem(100, 2);
  EXPECT_THROW(fit_logistic(two.rows, two.labels, 2, {.stop = [] { return true; }}, pool),
               base::Error);
}

TEST(LogisticRegression, LabelsAreFoundAgain) {
  base::ThreadPool pool(2);
  const Problem problem = random_problem(400, 5);
  const LogisticWeights weights = fit_logistic(problem.rows, problem.labels, 5, {}, pool);
  std::size_t right = 0;
  for (std::size_t i = 0; i < 400; ++i) {
    const auto scores = scores_of(problem, weights, i);
    right += std::max_element(scores.begin(), scores.end()) - scores.begin() == problem.labels[i];
  }
  EXPECT_GT(right, 250U);  // 80 by chance
}

TEST(LogisticRegression, ClassWithoutRowsIsUnlikelyEverywhere) {
  base::ThreadPool pool(1);
  Problem problem = random_problem(100, 3);
  const LogisticWeights weights = fit_logistic(problem.rows, problem.labels, 4, {}, pool);
  std::vector<double> probabilities(4);
  weights.probabilities({}, {}, probabilities);
  EXPECT_LT(probabilities[3], 0.02);
  EXPECT_NEAR(probabilities[0] + probabilities[1] + probabilities[2] + probabilities[3], 1, 1e-12);
}

TEST(LogisticRegression, ScoresBeyondTheSigmoidStillGiveProbabilities) {
  const LogisticWeights weights{0, 3, {-800, -900, -2000}};
  std::vector<double> probabilities(3);
  weights.probabilities({}, {}, probabilities);
  for (const double p : probabilities) EXPECT_TRUE(p >= 0 && p <= 1) << p;
  EXPECT_NEAR(probabilities[0] + probabilities[1] + probabilities[2], 1, 1e-12);
}

TEST(LogisticRegression, WhatDoesNotFitIsRefused) {
  base::ThreadPool pool(1);
  Problem problem = random_problem(10, 2);
  const auto fit = [&](std::size_t classes, double cost) {
    fit_logistic(problem.rows, problem.labels, classes, {.cost = cost}, pool);
  };
  EXPECT_THROW(fit(1, 1), base::Error);
  EXPECT_THROW(fit(2, 0), base::Error);
  EXPECT_THROW(fit(2, std::nan("")), base::Error);
  problem.rows.values[0] = std::nanf("");
  EXPECT_THROW(fit(2, 1), base::Error);
  problem.rows.values[0] = 1;
  problem.rows.columns[0] = 40;
  EXPECT_THROW(fit(2, 1), base::Error);
  problem.rows.columns[0] = 0;
  problem.labels.pop_back();
  EXPECT_THROW(fit(2, 1), base::Error);
}

}  // namespace
}  // namespace malina::eval
