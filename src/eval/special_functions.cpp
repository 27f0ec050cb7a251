#include "eval/special_functions.h"

#include <cmath>
#include <limits>

namespace malina::eval {

namespace {

constexpr double kTiny = 1e-300;

double log_gamma(double x) {
  int sign = 0;  // std::lgamma writes a variable of the process
  return lgamma_r(x, &sign);
}

// DLMF 8.17.22, evaluated by the modified method of Lentz. Converges quickly for
// x < (a + 1) / (a + b + 2).
double beta_fraction(double x, double a, double b) {
  constexpr int kMostSteps = 10000;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kMostSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    const double factor = c * d;
    fraction *= factor;
    if (std::abs(factor - 1) < 1e-15) break;
  }
  return fraction;
}

}  // namespace

double normal_cdf(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }

// Bisection first, then Newton's method, which ends it: no table of coefficients to get wrong.
double normal_quantile(double probability) {
  if (probability <= 0) return -std::numeric_limits<double>::infinity();
  if (probability >= 1) return std::numeric_limits<double>::infinity();
  // The lower tail keeps its digits, the upper one has none to lose.
  if (probability > 0.5) return -normal_quantile(1 - probability);
  double low = -40, high = 0;
  for (int step = 0; step < 20; ++step) {
    const double middle = (low + high) / 2;
    (normal_cdf(middle) < probability ? low : high) = middle;
  }
  double x = (low + high) / 2;
  for (int step = 0; step < 4; ++step) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    x -= (normal_cdf(x) - probability) / density;
  }
  return x;
}

double beta_cdf(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) +
                                b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double beta_quantile(double probability, double a, double b) {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  double low = 0, high = 1;
  for (int step = 0; step < 200; ++step) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (beta_cdf(middle, a, b) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

double binomial_cdf(double successes, double trials, double probability) {
  if (successes < 0) return 0;
  if (successes >= trials) return 1;
  return beta_cdf(1 - probability, trials - successes, successes + 1);
}

}  // namespace malina::eval
