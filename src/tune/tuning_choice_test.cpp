// Which rung is kept of those that were measured.
#include <gtest/gtest.h>

#include <cmath>

#include "tune/tuning_part.h"

namespace malina::tune {
namespace {

// Two classes, ten rows; `right`: of how many the right class has the probability `sure`, the
// others have it for the wrong one.
Rung rung_of(std::vector<Method> members, int right, double sure) {
  Rung rung;
  rung.members = std::move(members);
  rung.probabilities.classes = 2;
  for (int i = 0; i < 10; ++i) {
    const double zero = (i % 2 == 0) == (i < right) ? sure : 1 - sure;
    rung.probabilities.values.insert(rung.probabilities.values.end(), {zero, 1 - zero});
  }
  return rung;
}

TEST(TuningChoice, LinearJoinsTheProbeWhereThatIsLikelier) {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 10; ++i) classes.push_back(i % 2);
  const auto found = [&](int probe, int both, std::size_t chosen, bool in_turn = false) {
    std::vector<Rung> rungs{rung_of({Method::linear}, 6, 0.8), rung_of({Method::probe}, probe, 0.8),
                            rung_of({Method::linear, Method::probe}, both, 0.8)};
    if (in_turn)
      for (Rung& rung : rungs) std::swap(rung.all, rung.probabilities);
    return likelier_with_linear(rungs, chosen, {classes, classes});
  };
  for (const bool in_turn : {false, true}) {
    const auto better = found(7, 9, 1, in_turn);
    ASSERT_TRUE(better);
    EXPECT_EQ(better->rung, 2U);
    EXPECT_LT(better->together, better->alone);
    EXPECT_NEAR(better->alone, -0.7 * std::log(0.7) - 0.3 * std::log(0.3), 1e-6);
  }
  EXPECT_FALSE(found(9, 7, 1));  // the probe alone is
  EXPECT_FALSE(found(7, 7, 1));
  EXPECT_FALSE(found(7, 9, 0));  // something else was chosen
  EXPECT_FALSE(found(7, 9, 2));
  const std::vector<Rung> alone{rung_of({Method::linear}, 6, 0.8),
                                rung_of({Method::probe}, 9, 0.8)};
  EXPECT_FALSE(likelier_with_linear(alone, 1, {classes, classes}));
}

// Forty rows of two classes, the first `right` of them answered rightly; the right class has a
// probability beyond a half by `sure` of what is possible where it is answered, and is missed by
// little where it is not: sureness that no temperature can make.
Rung surer_rung_of(std::size_t right, double sure) {
  Rung rung{.members = {Method::lora},
            .weights = {1},
            .validation = {},
            .p_value = {},
            .probabilities = {}};
  rung.probabilities.classes = 2;
  for (std::size_t i = 0; i < 40; ++i) {
    const double of_right = i < right ? 0.5 + (i % 3 == 0 ? 0.1 : 0.5) * sure : 0.45;
    const double zero = i % 2 == 0 ? of_right : 1 - of_right;
    rung.probabilities.values.insert(rung.probabilities.values.end(), {zero, 1 - zero});
  }
  return rung;
}

TEST(TuningChoice, BetterProbabilitiesBeatWhereAnswersAreNoFewer) {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 40; ++i) classes.push_back(i % 2);
  const RungRows rows{classes, classes};
  const Rung flat = surer_rung_of(36, 0.12), sure = surer_rung_of(36, 0.9),
             one_less = surer_rung_of(35, 0.9);
  EXPECT_EQ(compare(rows, flat, sure).p_value, 1);
  const Comparison probabilities = compare_probabilities(rows, flat, sure);
  EXPECT_TRUE(probabilities.better);
  EXPECT_LT(probabilities.p_value, 0.05);
  const auto by_probabilities = beats(rows, flat, sure, 0.05);
  ASSERT_TRUE(by_probabilities);
  EXPECT_FALSE(by_probabilities->by_answers);
  EXPECT_FALSE(beats(rows, sure, flat, 0.05));
  EXPECT_FALSE(beats(rows, flat, flat, 0.05));
  EXPECT_FALSE(beats(rows, flat, sure, probabilities.p_value / 2));  // not as surely as asked
  EXPECT_FALSE(beats(rows, flat, one_less, 0.05));                   // surer, and more often wrong
  // By answers alone: what is right is hardly likelier than what is wrong.
  const Rung guess = surer_rung_of(20, 0.9), barely = surer_rung_of(36, 0.001);
  EXPECT_FALSE(compare_probabilities(rows, guess, barely).better);
  const auto by_answers = beats(rows, guess, barely, 0.05);
  ASSERT_TRUE(by_answers);
  EXPECT_TRUE(by_answers->by_answers);
  // One that is always right has no temperature that says how sure it is.
  EXPECT_LT(compare_probabilities(rows, surer_rung_of(40, 0.3), surer_rung_of(40, 0.9)).p_value,
            0.05);
  EXPECT_FALSE(beats(rows, surer_rung_of(40, 0.3), surer_rung_of(40, 0.9), 0.05));
  EXPECT_GT(mean_brier(rows, flat), mean_brier(rows, sure));
}

TEST(TuningChoice, EachRungGivesWayToTheCheapestThatBeatsIt) {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 40; ++i) classes.push_back(i % 2);
  const RungRows rows{classes, classes};
  const auto rung = [](std::vector<Method> members, std::size_t right, double sure) {
    Rung made = surer_rung_of(right, sure);
    made.members = std::move(members);
    return made;
  };
  const Rung linear = rung({Method::linear}, 36, 0.12), probe = rung({Method::probe}, 35, 0.9),
             both = rung({Method::linear, Method::probe}, 36, 0.9),
             lora = rung({Method::lora}, 36, 0.9);
  // Nothing beats the probe, but it beats nothing either.
  ASSERT_FALSE(beats(rows, linear, probe, 0.05));
  ASSERT_FALSE(beats(rows, probe, both, 0.05));
  const auto chosen = [&](std::vector<Rung> rungs, bool on_all_rows = false) {
    return choose(rungs, rows, 0.05, on_all_rows);
  };
  const Choice choice = chosen({linear, probe, both, lora});
  EXPECT_EQ(choice.rung, 2U);
  EXPECT_EQ(choice.reason.find("linear+probe is significantly better than linear in probabilities"),
            0U);
  EXPECT_EQ(chosen({linear, probe}).rung, 0U);
  EXPECT_EQ(chosen({linear}).rung, 0U);
  EXPECT_EQ(chosen({linear, lora}).rung, 1U);
  EXPECT_EQ(chosen({linear, lora}, true).rung, 0U);  // it does not know all rows
}

}  // namespace
}  // namespace malina::tune
