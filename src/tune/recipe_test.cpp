#include "tune/recipe.h"

#include <gtest/gtest.h>

namespace malina::tune {
namespace {

std::size_t steps(std::size_t rows) {
  const TrainingSchedule schedule = automatic_schedule(rows);
  return (rows + schedule.batch - 1) / schedule.batch * schedule.epochs;
}

TEST(AutomaticSchedule, MakesEnoughStepsOfFewRows) {
  EXPECT_EQ(automatic_schedule(616).epochs, 15U);  // 10 a class of 77, a fifth held back
  EXPECT_EQ(automatic_schedule(616).batch, 16U);
  for (const std::size_t rows : {320U, 616U, 999U, 1000U, 3000U, 4800U}) {
    EXPECT_GE(steps(rows), 550U) << rows;
    EXPECT_LE(steps(rows), 650U) << rows;
  }
}

TEST(AutomaticSchedule, KeepsWithinItsBounds) {
  EXPECT_EQ(automatic_schedule(10).epochs, 30U);
  EXPECT_EQ(automatic_schedule(1).epochs, 30U);
  EXPECT_EQ(automatic_schedule(100000).epochs, 4U);
  EXPECT_EQ(automatic_schedule(100000).batch, 32U);
}

TEST(SearchRates, HaveTheRecipesAmongThem) {
  const auto rates = search_rates(1e-3F);
  ASSERT_EQ(rates.size(), 4U);
  EXPECT_EQ(rates[1], 1e-3F);
  EXPECT_LT(rates[0], rates[1]);
}

}  // namespace
}  // namespace malina::tune
