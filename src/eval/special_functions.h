// Distribution functions that the statistics need and the standard library lacks.
#pragma once

namespace malina::eval {

// Of the standard normal distribution. quantile: probability in (0, 1); infinite at the ends.
double normal_cdf(double x);
double normal_quantile(double probability);

// The regularised incomplete beta function I_x(a, b), the distribution function of Beta(a, b);
// a, b > 0. By its continued fraction (Lentz's method, DLMF 8.17.22), to about 1e-13.
double beta_cdf(double x, double a, double b);
// Its inverse, by bisection to the last bits.
double beta_quantile(double probability, double a, double b);

// P(X <= successes) for `trials` trials that succeed with `probability`: I_{1-p}(n - k, k + 1).
double binomial_cdf(double successes, double trials, double probability);

}  // namespace malina::eval
