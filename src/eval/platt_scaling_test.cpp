#include "eval/platt_scaling.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "eval/calibration.h"

namespace malina::eval {
namespace {

struct Rows {
  std::vector<double> probabilities;
  std::vector<bool> right;
};

// Right as often as a scaling of the probability says.
Rows rows_of(const PlattScaling& truth, std::size_t count) {
  base::Random random(7);
  Rows rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.probabilities.push_back(0.02 + 0.96 * random.uniform());
    rows.right.push_back(random.uniform() < truth.apply(rows.probabilities.back()));
  }
  return rows;
}

double loss_of(const Rows& rows, const PlattScaling& at) {
  double sum = (std::pow(at.slope - 1, 2) + std::pow(at.offset, 2)) / 2;
  for (std::size_t i = 0; i < rows.right.size(); ++i) {
    const double p = at.apply(rows.probabilities[i]);
    sum -= std::log(rows.right[i] ? p : 1 - p);
  }
  return sum;
}

TEST(PlattScaling, FindsWhatTheRowsWereMadeBy) {
  const PlattScaling truth{1.8, 0.7};
  const PlattScaling found =
      fit_platt_scaling(rows_of(truth, 20000).probabilities, rows_of(truth, 20000).right);
  EXPECT_NEAR(found.slope, truth.slope, 0.06);
  EXPECT_NEAR(found.offset, truth.offset, 0.06);
}

TEST(PlattScaling, IsAtTheMinimum) {
  const Rows rows = rows_of({0.6, -0.9}, 300);
  const PlattScaling found = fit_platt_scaling(rows.probabilities, rows.right);
  constexpr double kStep = 1e-4;
  for (const auto& [slope, offset] : {std::pair{kStep, 0.0}, {0.0, kStep}}) {
    const double above = loss_of(rows, {found.slope + slope, found.offset + offset});
    const double below = loss_of(rows, {found.slope - slope, found.offset - offset});
    EXPECT_NEAR((above - below) / (2 * kStep), 0, 1e-4);
  }
}

TEST(PlattScaling, KeepsOrderAndEnds) {
  const PlattScaling scaling{2.5, -1};
  double last = -1;
  for (double p = 0; p <= 1.0001; p += 0.01) {
    const double scaled = scaling.apply(std::min(p, 1.0));
    EXPECT_GT(scaled, last);
    EXPECT_TRUE(scaled >= 0 && scaled <= 1);
    last = scaled;
  }
  EXPECT_EQ(PlattScaling{}.apply(0.123), 0.123);
  EXPECT_EQ(PlattScaling{}.apply(1), 1);
}

TEST(PlattScaling, FewRowsAndExtremesAreHarmless) {
  const auto same = [](const PlattScaling& found) { return found.slope == 1 && found.offset == 0; };
  EXPECT_TRUE(same(fit_platt_scaling({}, {})));
  // All right and certain; the same again and all wrong.
  for (const bool right : {true, false}) {
    const PlattScaling found =
        fit_platt_scaling(std::vector<double>(50, 1.0), std::vector<bool>(50, right));
    EXPECT_TRUE(std::isfinite(found.slope) && std::isfinite(found.offset));
    EXPECT_GT(found.slope, 0);
  }
  // One row moves little.
  const PlattScaling one = fit_platt_scaling(std::vector{0.7}, {true});
  EXPECT_NEAR(one.apply(0.7), 0.7, 0.1);
  // The surer the more often wrong: an order is not turned round.
  const PlattScaling turned = fit_platt_scaling(std::vector{0.99, 0.98, 0.97, 0.02, 0.03, 0.01},
                                                {false, false, false, true, true, true});
  EXPECT_EQ(turned.slope, kLeastPlattSlope);
  EXPECT_NEAR(turned.apply(0.9), 0.5, 0.05);
  EXPECT_THROW(fit_platt_scaling(std::vector{0.5}, {}), base::Error);
}

TEST(PlattScaling, ConfidenceThatTellsNothingBecomesTheShareThatIsRight) {
  for (int seed = 0; seed < 20; ++seed) {
    base::Random random(static_cast<std::uint64_t>(seed));
    Rows rows;
    double right = 0;
    for (int i = 0; i < 200; ++i) {
      rows.probabilities.push_back(0.75 + 0.24 * random.uniform());
      rows.right.push_back(random.uniform() < 0.3);
      right += rows.right.back() ? 1.0 / 200 : 0;
    }
    const PlattScaling found = fit_platt_scaling(rows.probabilities, rows.right);
    double mean = 0;
    for (const double p : rows.probabilities) mean += found.apply(p) / 200;
    EXPECT_NEAR(mean, right, 0.02) << seed;
  }
}

}  // namespace
}  // namespace malina::eval
