// What more labels would bring to each rung of the ladder.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "tune/tuning_report.h"

namespace malina::tune {

// One method on fewer rows.
struct CurveMember {
  Method method;
  const eval::ProbabilityTable* full;  // of the evaluation rows, having learned from all
  // The same, having learned from some rows of the training data.
  std::function<eval::ProbabilityTable(std::span<const std::size_t> rows)> learn;
};

// Of nested subsets, ascending, the last is `rows` itself; empty where fewer than three leave each
// label two rows on average.
std::vector<std::size_t> curve_sizes(std::size_t rows, std::size_t labels);

// The law through what was measured, and its forecasts. The points as eval::LearningCurve::fit
// takes them, ascending. `what`: the rows are called so in forecasts.
CurveReport curve_report(const std::vector<Method>& members,
                         std::span<const eval::LearningPoint> points, std::uint64_t seed,
                         base::ThreadPool& pool, std::string_view what = "labels");

// One for each rung all of whose members are given, in the ladder's order; several members are
// blended anew at each size. classes: of the training rows; expected: of the evaluation rows. A
// subset is the first rows of eval::nested_order of the classes and the seed.
std::vector<CurveReport> learning_curves(std::span<const Rung> rungs,
                                         std::span<const CurveMember> members,
                                         std::span<const std::uint32_t> classes,
                                         std::span<const std::uint32_t> expected,
                                         std::span<const std::size_t> sizes, std::uint64_t seed,
                                         base::ThreadPool& pool);

// What is asked about of `rows`: about a quarter, once and four times as many more, as a person
// would say them (1, 2 or 5 times a power of ten).
std::vector<std::size_t> forecast_sizes(std::size_t rows);

}  // namespace malina::tune
