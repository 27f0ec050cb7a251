#include "eval/learning_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "eval/special_functions.h"
#include "eval/stratified.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;

struct Fitted {
  PowerLaw law;
  double squares;  // weighted, of what is left
};

using Numbers = std::span<const double>;

// The best a and c for a given b: the minimum of a convex quadratic over a >= 0, 0 <= c <= 1, which
// is the free minimum where that is allowed, or else lies on an edge.
Fitted fit_with_power(Numbers rows, Numbers errors, Numbers weights, double b) {
  double w = 0, x = 0, y = 0, xx = 0, xy = 0;
  // Scaled to 1 at the first size, so that all sums are of one magnitude.
  const double scale = std::pow(rows[0], b);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double t = std::pow(rows[i], -b) * scale;
    w += weights[i];
    x += weights[i] * t;
    y += weights[i] * errors[i];
    xx += weights[i] * t * t;
    xy += weights[i] * t * errors[i];
  }
  const auto squares_of = [&](double a, double c) {
    double squares = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double left = errors[i] - a * std::pow(rows[i], -b) * scale - c;
      squares += weights[i] * left * left;
    }
    return squares;
  };
  const double determinant = w * xx - x * x;
  const double a = determinant > 0 ? (w * xy - x * y) / determinant : 0;
  const double c = (y - a * x) / w;
  if (determinant > 0 && a >= 0 && c >= 0 && c <= 1) return {{a * scale, b, c}, squares_of(a, c)};
  Fitted best{{0, b, 0}, squares_of(0, 0)};
  const auto offer = [&](double edge_a, double edge_c) {
    edge_a = std::max(edge_a, 0.0);
    edge_c = std::clamp(edge_c, 0.0, 1.0);
    const double squares = squares_of(edge_a, edge_c);
    if (squares < best.squares) best = {{edge_a * scale, b, edge_c}, squares};
  };
  offer(xy / xx, 0);
  offer((xy - x) / xx, 1);
  offer(0, y / w);
  return best;
}

void check_points(Numbers rows, Numbers errors, Numbers weights) {
  if (rows.size() != errors.size() || rows.size() != weights.size())
    throw Error(Fault::invalid_argument, "the points of a learning curve are incomplete");
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!(rows[i] > 0) || !(weights[i] > 0) || !std::isfinite(rows[i]) ||
        !std::isfinite(weights[i]) || !std::isfinite(errors[i]))
      throw Error(Fault::invalid_argument, "a point of a learning curve is not of numbers above 0");
  if (std::set<double>(rows.begin(), rows.end()).size() < 3)
    throw Error(Fault::invalid_argument, "a learning curve needs three different sizes");
}

// A scan for the right valley, then golden section within it.
Fitted best_fit(Numbers rows, Numbers errors, Numbers weights) {
  constexpr int kScan = 40;
  const double low = std::log(kLeastPower), high = std::log(kMostPower);
  const auto at = [&](double log_b) {
    return fit_with_power(rows, errors, weights, std::exp(log_b));
  };
  const auto place = [&](int i) { return low + (high - low) * i / kScan; };
  int valley = 0;
  Fitted best = at(low);
  for (int i = 1; i <= kScan; ++i)
    if (const Fitted tried = at(place(i)); tried.squares < best.squares) best = tried, valley = i;
  double left = place(std::max(valley - 1, 0)), right = place(std::min(valley + 1, kScan));
  constexpr double kGolden = 0.6180339887498949;
  for (int step = 0; step < 40; ++step) {
    const double one = right - kGolden * (right - left), other = left + kGolden * (right - left);
    const Fitted first = at(one), second = at(other);
    if (first.squares < best.squares) best = first;
    if (second.squares < best.squares) best = second;
    (first.squares <= second.squares ? right : left) =
        first.squares <= second.squares ? other : one;
  }
  return best;
}

struct Points {
  std::vector<double> rows, errors, weights;
};

// Errors and inverse variances, of rows that count as often as `counts` says.
Points points_of(std::span<const LearningPoint> points, std::span<const std::uint32_t> counts) {
  Points result;
  for (const LearningPoint& point : points) {
    double wrong = 0, evaluated = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      wrong += double{point.wrong[i]} * counts[i];
      evaluated += (point.of.empty() ? 1.0 : double{point.of[i]}) * counts[i];
    }
    // Two more of each: no error seen is no certainty.
    const double share = (wrong + 2) / (evaluated + 4);
    result.rows.push_back(static_cast<double>(point.rows));
    result.errors.push_back(evaluated > 0 ? wrong / evaluated : 0);
    result.weights.push_back((evaluated + 4) / (share * (1 - share)));
  }
  return result;
}

double normal(base::Random& random) {
  return normal_quantile(std::clamp(random.uniform(), 1e-12, 1 - 1e-12));
}

double percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

void check_learning_points(std::span<const LearningPoint> points,
                           const ResamplingOptions& options) {
  if (points.empty() || points[0].wrong.empty() || options.draws == 0 ||
      !(options.confidence > 0 && options.confidence < 1))
    throw Error(Fault::invalid_argument, "a learning curve needs points, rows and draws");
  for (const LearningPoint& point : points)
    if (point.wrong.size() != points[0].wrong.size() || point.of != points[0].of)
      throw Error(Fault::invalid_argument, "the points of a learning curve are of different rows");
  const std::vector<float>& of = points[0].of;
  if (!of.empty() && (of.size() != points[0].wrong.size() || *std::ranges::min_element(of) < 0 ||
                      *std::ranges::max_element(of) <= 0))
    throw Error(Fault::invalid_argument, "the rows of a learning curve hold nothing");
}

}  // namespace

double PowerLaw::error(double rows) const {
  return std::clamp(a * std::pow(rows, -b) + c, 0.0, 1.0);
}

PowerLaw fit_power_law(Numbers rows, Numbers errors, Numbers weights) {
  check_points(rows, errors, weights);
  return best_fit(rows, errors, weights).law;
}

std::vector<std::size_t> nested_sizes(std::size_t rows, std::size_t classes, std::size_t points) {
  std::vector<std::size_t> sizes;
  for (std::size_t size = rows; sizes.size() < points && size > 0 && size >= 2 * classes; size /= 2)
    sizes.push_back(size);
  std::reverse(sizes.begin(), sizes.end());
  return sizes;
}

std::vector<LearningPoint> measure_learning_points(std::span<const std::uint32_t> classes,
                                                   std::span<const std::uint32_t> expected,
                                                   std::span<const std::size_t> sizes,
                                                   std::uint64_t seed, const Learn& learn) {
  const std::vector<std::size_t> order = nested_order(classes, seed);
  std::vector<LearningPoint> points;
  for (const std::size_t size : sizes) {
    if (size == 0 || size > order.size())
      throw Error(Fault::invalid_argument,
                  fmt::format("a subset of {} of {} rows cannot be made", size, order.size()));
    const std::vector<std::uint32_t> answers = learn(std::span(order).first(size));
    if (answers.size() != expected.size())
      throw Error(Fault::invalid_argument, "there is not one answer for each row");
    LearningPoint point{size, std::vector<float>(expected.size())};
    for (std::size_t i = 0; i < expected.size(); ++i)
      point.wrong[i] = answers[i] == expected[i] ? 0.0F : 1.0F;
    points.push_back(std::move(point));
  }
  return points;
}

LearningCurve LearningCurve::fit(std::span<const LearningPoint> points,
                                 const ResamplingOptions& options, base::ThreadPool& pool) {
  check_learning_points(points, options);
  const std::size_t evaluated = points[0].wrong.size();
  const Points seen = points_of(points, std::vector<std::uint32_t>(evaluated, 1));
  check_points(seen.rows, seen.errors, seen.weights);
  const Fitted fitted = best_fit(seen.rows, seen.errors, seen.weights);
  // Reduced chi-squared of three parameters: how much further the points lie off the law than
  // their evaluation rows explain is what the choice of the training rows does.
  const double freedom = std::max(1.0, static_cast<double>(points.size()) - 3);
  const double noise = std::sqrt(fitted.squares / freedom);

  LearningCurve curve;
  curve.law_ = fitted.law;
  curve.confidence_ = options.confidence;
  curve.draws_.resize(options.draws);
  pool.run(options.draws, [&](std::size_t draw) {
    base::Random random(options.seed * 0x9E3779B97F4A7C15 + draw * 0xD1B54A32D192ED03 + 1);
    std::vector<std::uint32_t> counts(evaluated);
    for (std::size_t i = 0; i < evaluated; ++i) ++counts[random.below(evaluated)];
    Points drawn = points_of(points, counts);
    for (std::size_t i = 0; i < drawn.errors.size(); ++i)
      drawn.errors[i] += noise * normal(random) / std::sqrt(seen.weights[i]);
    curve.draws_[draw] = best_fit(drawn.rows, drawn.errors, seen.weights).law;
  });
  return curve;
}

Estimate LearningCurve::estimate(const std::function<double(const PowerLaw&)>& figure) const {
  std::vector<double> values;
  values.reserve(draws_.size());
  for (const PowerLaw& law : draws_) values.push_back(figure(law));
  std::sort(values.begin(), values.end());
  const double tail = (1 - confidence_) / 2;
  return {figure(law_), {percentile(values, tail), percentile(values, 1 - tail)}};
}

Estimate LearningCurve::error(double rows) const {
  return estimate([rows](const PowerLaw& law) { return law.error(rows); });
}

Estimate LearningCurve::gain(double from, double to) const {
  return estimate([&](const PowerLaw& law) { return law.error(from) - law.error(to); });
}

std::string LearningCurve::forecast(std::size_t rows, std::size_t more,
                                    std::string_view what) const {
  const Estimate estimate =
      gain(static_cast<double>(rows), static_cast<double>(rows) + static_cast<double>(more));
  return fmt::format("{} more {} ≈ {:+.1f} ± {:.1f} points", more, what, 100 * estimate.value,
                     50 * (estimate.interval.high - estimate.interval.low));
}

}  // namespace malina::eval
