// A probability that something is right, made to agree with how often it is: Platt scaling (Platt
// 1999, "Probabilistic outputs for support vector machines") of the log-odds.
#pragma once

#include <span>
#include <vector>

namespace malina::eval {

// sigmoid(slope * ln(p / (1 - p)) + offset), p between 1e-12 and 1 - 1e-12: the order of
// probabilities stays. {1, 0}: p itself.
struct PlattScaling {
  double slope = 1, offset = 0;
  double apply(double probability) const;
};
inline constexpr double kLeastPlattSlope = 0.01, kMostPlattSlope = 100, kMostPlattOffset = 100;

// Minimises the negative log-likelihood of `right` and ((slope - 1)^2 + offset^2) / 2, so that few
// rows change little; the one minimum by Newton's method. Where what was likelier was not right
// more often, the slope is the least one and the offset the best for that: nearly the share that is
// right, whatever the probability. Throws invalid_argument where there are not as many of both.
PlattScaling fit_platt_scaling(std::span<const double> probabilities,
                               const std::vector<bool>& right);

}  // namespace malina::eval
