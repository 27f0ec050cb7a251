#include "eval/discriminant_analysis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "eval/calibration.h"
#include "eval/linear_baseline.h"
#include "eval/sealed_file.h"
#include "eval/stratified.h"

namespace malina::eval {
namespace {

SparseRows rows_of(const std::vector<std::vector<float>>& values) {
  SparseRows rows;
  rows.width = values.front().size();
  for (const auto& value : values) {
    SparseRow row;
    for (std::size_t column = 0; column < value.size(); ++column)
      if (value[column] != 0) {
        row.columns.push_back(static_cast<std::uint32_t>(column));
        row.values.push_back(value[column]);
      }
    rows.add(row);
  }
  return rows;
}

// About normal: Irwin and Hall's.
double normal(base::Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

struct Sample {
  std::vector<float> values;
  std::vector<std::string> labels;
};

// Rows whose columns vary together far more than the classes' means, `apart`, are from each other.
Sample varying_together(std::uint64_t seed, std::size_t classes, std::size_t each,
                        std::size_t width, double apart) {
  base::Random random(seed);
  std::vector<std::vector<double>> means(classes, std::vector<double>(width));
  for (auto& mean : means)
    for (double& value : mean) value = apart * normal(random);
  Sample sample;
  for (std::size_t i = 0; i < classes * each; ++i) {
    const double shared = 6 * normal(random);
    for (std::size_t column = 0; column < width; ++column)
      sample.values.push_back(static_cast<float>(means[i % classes][column] + normal(random) +
                                                 shared * (column % 2 == 0 ? 1 : -1)));
    sample.labels.push_back("label " + std::to_string(100 + i % classes));
  }
  return sample;
}

std::vector<double> answer(const LogisticWeights& weights, const std::vector<float>& values) {
  const SparseRows row = rows_of({values});
  std::vector<double> result(weights.classes);
  weights.softmax(row.columns, row.values, result);
  return result;
}

TEST(DiscriminantAnalysis, IsThatOfScikitLearn) {
  std::ifstream file(MALINA_SOURCE_DIR "/tests/golden/eval/discriminant.json");
  const auto golden = nlohmann::json::parse(file);
  const std::vector<std::vector<float>> rows = golden.at("rows"), test = golden.at("test");
  const std::vector<std::uint32_t> labels = golden.at("labels");
  for (const unsigned threads : {1U, 3U}) {
    base::ThreadPool pool(threads);
    const DiscriminantAnalysis analysis(rows_of(rows), labels, 4, pool);
    for (const auto& [shrinkage, expected] : golden.at("probabilities").items()) {
      const LogisticWeights weights = analysis.weights(std::stod(shrinkage), 1, pool);
      for (std::size_t i = 0; i < test.size(); ++i) {
        const std::vector<double> found = answer(weights, test[i]);
        for (std::size_t k = 0; k < found.size(); ++k)
          EXPECT_NEAR(found[k], expected[i][k], 1e-5) << shrinkage;
      }
    }
  }
}

TEST(DiscriminantAnalysis, HasTheSameBitsForAnyThreads) {
  base::Random random(3);
  std::vector<std::vector<float>> values(90, std::vector<float>(70));
  std::vector<std::uint32_t> labels;
  for (auto& row : values) {
    for (float& value : row) value = static_cast<float>(normal(random));
    labels.push_back(static_cast<std::uint32_t>(random.below(5)));
  }
  base::ThreadPool one(1), four(4);
  const DiscriminantAnalysis first(rows_of(values), labels, 5, one),
      second(rows_of(values), labels, 5, four);
  EXPECT_EQ(first.weights(0.3, 2, one).weights, second.weights(0.3, 2, four).weights);
}

// A column that never varies, a class without rows, fewer rows than columns, rows that are alike.
TEST(DiscriminantAnalysis, StaysFiniteWhereThereIsLittleToLearnFrom) {
  base::ThreadPool pool(2);
  const std::vector<std::vector<float>> values{{1, 0, 0, 2, 5}, {1, 0, 1, 2, 4}, {1, 0, 0, 2, 5}};
  const std::vector<std::uint32_t> labels{0, 2, 0};
  for (const double shrinkage : {1e-6, 0.5, 1.0}) {
    const LogisticWeights weights =
        DiscriminantAnalysis(rows_of(values), labels, 3, pool).weights(shrinkage, 1, pool);
    for (const float weight : weights.weights) EXPECT_TRUE(std::isfinite(weight));
    const std::vector<double> found = answer(weights, values[0]);
    double sum = 0;
    for (const double probability : found) {
      EXPECT_GT(probability, 0);
      sum += probability;
    }
    EXPECT_NEAR(sum, 1, 1e-12);
    EXPECT_GT(found[0], found[2]);
  }
}

TEST(DiscriminantAnalysis, RefusesWhatDoesNotFit) {
  base::ThreadPool pool(1);
  const SparseRows rows = rows_of({{1, 2}, {2, 1}});
  const std::vector<std::uint32_t> labels{0, 1}, few{0}, beyond{0, 2};
  EXPECT_THROW(DiscriminantAnalysis(rows, few, 2, pool), base::Error);
  EXPECT_THROW(DiscriminantAnalysis(rows, beyond, 2, pool), base::Error);
  const DiscriminantAnalysis analysis(rows, labels, 2, pool);
  for (const double shrinkage : {0.0, -1.0, 1.5, std::nan("")})
    EXPECT_THROW(analysis.weights(shrinkage, 1, pool), base::Error);
  for (const double temperature : {0.0, -1.0, HUGE_VAL, std::nan("")})
    EXPECT_THROW(analysis.weights(0.5, temperature, pool), base::Error);
  SparseRows wide;
  wide.width = DiscriminantAnalysis::kMostWidth + 1;
  wide.add({});
  EXPECT_THROW(DiscriminantAnalysis(wide, few, 2, pool), base::Error);
}

// Scores are hundreds apart, so that what is not cut off is found by going to their temperature.
TEST(DiscriminantAnalysis, IsAtTheTemperatureOfHeldOutRowsHoweverFarItsScoresAre) {
  constexpr std::size_t kClasses = 12, kEach = 5, kWidth = 600;
  const auto [values, labels] = varying_together(7, kClasses, kEach, kWidth, 0.2);
  base::ThreadPool pool(2);
  const DenseRows rows{values, kWidth};
  const LinearBaseline probe = LinearBaseline::fit_dense(rows, labels, {}, pool);
  ASSERT_GT(probe.shrinkage(), 0);
  const auto classes = index_classes(labels).of;
  const auto table = out_of_fold_probabilities(rows, labels, 5, probe.options(1), pool);
  const double temperature = fit_temperature(classes, table);
  EXPECT_GT(temperature, 0.8);
  EXPECT_LT(temperature, 1.25);
}

TEST(DiscriminantAnalysis, IsNoProbeWhereItSaysNothingOfHeldOutRows) {
  base::Random random(11);
  std::vector<float> values;
  std::vector<std::string> labels;
  for (int i = 0; i < 60; ++i) {
    for (int column = 0; column < 300; ++column)
      values.push_back(static_cast<float>(normal(random)));
    labels.push_back("label " + std::to_string(100 + i % 30));
  }
  base::ThreadPool pool(2);
  const LinearBaseline probe = LinearBaseline::fit_dense({values, 300}, labels, {}, pool);
  EXPECT_EQ(probe.shrinkage(), 0);
  EXPECT_GT(probe.cost(), 0);
}

// Many classes with few rows each, whose columns vary together: the probe takes it, and keeps it.
TEST(DiscriminantAnalysis, IsTheProbeWhereItAnswersBetter) {
  constexpr std::size_t kClasses = 20, kEach = 6, kWidth = 40;
  const auto [values, labels] = varying_together(5, kClasses, kEach, kWidth, 1);
  base::ThreadPool pool(2);
  const DenseRows rows{values, kWidth};
  const LinearBaseline probe = LinearBaseline::fit_dense(rows, labels, {}, pool);
  EXPECT_GT(probe.shrinkage(), 0);
  EXPECT_EQ(probe.cost(), 0);
  const LinearBaseline again = LinearBaseline::parse(probe.bytes(), "probe");
  EXPECT_EQ(again.shrinkage(), probe.shrinkage());
  EXPECT_EQ(again.probabilities(rows, pool).values, probe.probabilities(rows, pool).values);
  EXPECT_EQ(again.probabilities(rows.row(7)), probe.probabilities(rows.row(7)));
  // By the same options the same, and both kinds when asked for.
  EXPECT_EQ(LinearBaseline::fit_dense(rows, labels, probe.options(1), pool).bytes(), probe.bytes());
  const LinearBaseline logistic = LinearBaseline::fit_dense(rows, labels, {.cost = 4}, pool);
  EXPECT_EQ(logistic.shrinkage(), 0);
  const auto right = [&](const LinearOptions& options) {
    const auto table = out_of_fold_probabilities(rows, labels, 5, options, pool);
    std::size_t count = 0;
    for (std::size_t i = 0; i < labels.size(); ++i)
      count += likeliest(table.row(i)) == i % kClasses ? 1 : 0;
    return count;
  };
  EXPECT_GT(right(probe.options(1)), right({.cost = 4}));
  // Shrinkage and temperature stand behind mark, version and kind.
  for (const auto& [place, value] : std::vector<std::pair<std::size_t, double>>{
           {16, 0.0}, {16, 1.5}, {16, std::nan("")}, {24, 0.0}, {24, -1.0}, {24, HUGE_VAL}}) {
    std::string bytes = probe.bytes();
    bytes.resize(bytes.size() - 32);  // its digest
    std::memcpy(bytes.data() + place, &value, sizeof value);
    EXPECT_THROW(LinearBaseline::parse(with_digest(std::move(bytes)), "probe"), base::Error);
  }
  const std::vector<std::string> texts{"a", "b"}, two{"x", "y"};
  EXPECT_THROW(LinearBaseline::fit(texts, two, {.shrinkage = 0.5}, pool), base::Error);
}

}  // namespace
}  // namespace malina::eval
