#include "tune/tuning_curve.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "eval/blend.h"
#include "eval/stratified.h"

namespace malina::tune {

namespace {

constexpr std::size_t kPoints = 5, kLeastPoints = 3, kDraws = 1000;

using Tables = std::map<Method, std::vector<eval::ProbabilityTable>>;  // by size

eval::LearningPoint point_of(std::size_t rows, std::span<const std::uint32_t> expected,
                             const eval::ProbabilityTable& table) {
  eval::LearningPoint point{rows, std::vector<float>(expected.size())};
  const auto given = eval::answers(table);
  for (std::size_t i = 0; i < expected.size(); ++i)
    point.wrong[i] = given[i] == expected[i] ? 0.0F : 1.0F;
  return point;
}

}  // namespace

CurveReport curve_report(const std::vector<Method>& members,
                         std::span<const eval::LearningPoint> points, std::uint64_t seed,
                         base::ThreadPool& pool, std::string_view what) {
  CurveReport report{.members = members, .points = {}, .law = {}, .forecasts = {}};
  for (const eval::LearningPoint& point : points) {
    const double wrong = std::accumulate(point.wrong.begin(), point.wrong.end(), 0.0);
    const double all = point.of.empty() ? static_cast<double>(point.wrong.size())
                                        : std::accumulate(point.of.begin(), point.of.end(), 0.0);
    const auto whole = [](double value) { return static_cast<std::size_t>(std::llround(value)); };
    report.points.push_back(
        {point.rows,
         {wrong / all, eval::wilson_interval(whole(wrong), std::max<std::size_t>(1, whole(all)))}});
  }
  const auto curve = eval::LearningCurve::fit(points, {.draws = kDraws, .seed = seed}, pool);
  report.law = curve.law();
  const std::size_t rows = points.back().rows;
  for (const std::size_t more : forecast_sizes(rows))
    report.forecasts.push_back(
        {more, curve.gain(static_cast<double>(rows), static_cast<double>(rows + more)),
         curve.forecast(rows, more, what)});
  return report;
}

std::vector<std::size_t> curve_sizes(std::size_t rows, std::size_t labels) {
  auto sizes = eval::nested_sizes(rows, labels, kPoints);
  if (sizes.size() < kLeastPoints) sizes.clear();
  return sizes;
}

std::vector<std::size_t> forecast_sizes(std::size_t rows) {
  std::vector<std::size_t> sizes;
  for (const double share : {0.25, 1.0, 4.0}) {
    const double about = std::max(1.0, share * static_cast<double>(rows));
    const double power = std::pow(10, std::floor(std::log10(about)));
    double best = power;
    for (const double factor : {2.0, 5.0, 10.0})
      if (std::abs(std::log(factor * power / about)) < std::abs(std::log(best / about)))
        best = factor * power;
    sizes.push_back(static_cast<std::size_t>(best + 0.5));
  }
  return sizes;
}

std::vector<CurveReport> learning_curves(std::span<const Rung> rungs,
                                         std::span<const CurveMember> members,
                                         std::span<const std::uint32_t> classes,
                                         std::span<const std::uint32_t> expected,
                                         std::span<const std::size_t> sizes, std::uint64_t seed,
                                         base::ThreadPool& pool) {
  const auto order = eval::nested_order(classes, seed);
  Tables tables;
  for (const CurveMember& member : members)
    for (const std::size_t size : sizes)
      tables[member.method].push_back(
          size == classes.size() ? *member.full : member.learn(std::span(order).first(size)));
  std::vector<CurveReport> reports;
  for (const Rung& rung : rungs) {
    const auto known = [&](Method method) { return tables.contains(method); };
    if (!std::all_of(rung.members.begin(), rung.members.end(), known)) continue;
    std::vector<eval::LearningPoint> points;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      std::vector<const eval::ProbabilityTable*> parts;
      for (const Method method : rung.members) parts.push_back(&tables[method][i]);
      points.push_back(
          parts.size() == 1
              ? point_of(sizes[i], expected, *parts[0])
              : point_of(sizes[i], expected, eval::cross_fitted_blend(expected, parts, seed)));
    }
    reports.push_back(curve_report(rung.members, points, seed, pool));
  }
  return reports;
}

}  // namespace malina::tune
