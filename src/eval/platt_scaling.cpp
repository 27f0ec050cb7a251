#include "eval/platt_scaling.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace malina::eval {

namespace {

// So far from 0 and 1 that log-odds are finite.
constexpr double kLeast = 1e-12;

double log_odds(double probability) {
  const double p = std::clamp(probability, kLeast, 1 - kLeast);
  return std::log(p) - std::log1p(-p);
}

double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

// -ln sigmoid(x), without overflow.
double loss_of(double x) {
  return x >= 0 ? std::log1p(std::exp(-x)) : -x + std::log1p(std::exp(x));
}

struct Fit {
  std::span<const double> odds;
  const std::vector<bool>& right;

  double loss(const PlattScaling& at) const {
    double sum = ((at.slope - 1) * (at.slope - 1) + at.offset * at.offset) / 2;
    for (std::size_t i = 0; i < odds.size(); ++i) {
      const double x = at.slope * odds[i] + at.offset;
      sum += loss_of(right[i] ? x : -x);
    }
    return sum;
  }

  // By Newton's method; of the offset alone where the slope is fixed.
  PlattScaling step(const PlattScaling& at, bool fixed) const {
    double slope = at.slope - 1, offset = at.offset;  // the gradient
    double slopes = 1, mixed = 0, offsets = 1;  // the Hessian, which the penalty makes definite
    for (std::size_t i = 0; i < odds.size(); ++i) {
      const double p = sigmoid(at.slope * odds[i] + at.offset);
      const double error = p - (right[i] ? 1 : 0), weight = p * (1 - p);
      slope += error * odds[i];
      offset += error;
      slopes += weight * odds[i] * odds[i];
      mixed += weight * odds[i];
      offsets += weight;
    }
    if (fixed) return {0, offset / offsets};
    const double determinant = slopes * offsets - mixed * mixed;
    return {(offsets * slope - mixed * offset) / determinant,
            (slopes * offset - mixed * slope) / determinant};
  }

  PlattScaling minimum(PlattScaling best, bool fixed) const {
    double least = loss(best);
    for (int round = 0; round < 100; ++round) {
      const PlattScaling newton = step(best, fixed);
      PlattScaling next;
      double found = least, length = 1;
      for (int halving = 0; halving < 40; ++halving, length /= 2) {
        next = {best.slope - length * newton.slope, best.offset - length * newton.offset};
        found = loss(next);
        if (found < least) break;
      }
      if (!(found < least - 1e-12 * std::max(1.0, least))) break;
      best = next;
      least = found;
    }
    return best;
  }
};

}  // namespace

double PlattScaling::apply(double probability) const {
  if (slope == 1 && offset == 0) return probability;
  return sigmoid(slope * log_odds(probability) + offset);
}

PlattScaling fit_platt_scaling(std::span<const double> probabilities,
                               const std::vector<bool>& right) {
  if (probabilities.size() != right.size())
    throw base::Error(base::Fault::invalid_argument,
                      "there is not one outcome for each of some probabilities");
  std::vector<double> odds(probabilities.size());
  std::transform(probabilities.begin(), probabilities.end(), odds.begin(), log_odds);
  const Fit fit{odds, right};
  PlattScaling best = fit.minimum({}, false);
  if (!(best.slope >= kLeastPlattSlope)) best = fit.minimum({kLeastPlattSlope, 0}, true);
  return {std::min(best.slope, kMostPlattSlope),
          std::clamp(best.offset, -kMostPlattOffset, kMostPlattOffset)};
}

}  // namespace malina::eval
