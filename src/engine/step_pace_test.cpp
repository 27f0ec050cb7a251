#include "engine/step_pace.h"

#include <gtest/gtest.h>

namespace malina::engine {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A machine on which a step takes 2 ms, 1 ms a row of answers and 0.5 ms a row of prompts.
microseconds machine(std::size_t answers, std::size_t prompts) {
  return microseconds(2000 + 1000 * answers + 500 * prompts);
}

TEST(StepPace, BeginsWithAPage) {
  const StepPace pace(milliseconds(100));
  EXPECT_EQ(pace.prompt_rows(0), 32u);
  EXPECT_EQ(pace.prompt_rows(10), 32u);
  EXPECT_EQ(pace.answer_time(5), 0);
}

TEST(StepPace, ComesToStepsOfTheTarget) {
  for (const std::size_t answers : {0, 1, 7, 40}) {
    StepPace pace(milliseconds(100));
    for (int i = 0; i < 50; ++i) {
      if (answers > 0) pace.measured(answers, 0, machine(answers, 0));
      const std::size_t prompts = pace.prompt_rows(answers);
      pace.measured(answers, prompts, machine(answers, prompts));
    }
    const auto step = machine(answers, pace.prompt_rows(answers));
    EXPECT_LE(step, milliseconds(103)) << answers;
    EXPECT_GE(step, milliseconds(85)) << answers;
  }
}

TEST(StepPace, PromptsGoOnWhereAnswersTakeAllTheTime) {
  StepPace pace(milliseconds(100));
  pace.measured(0, 100, milliseconds(50));
  pace.measured(200, 0, milliseconds(300));
  EXPECT_EQ(pace.prompt_rows(200), 32u);
}

TEST(StepPace, GuessesBetweenWhatWasMeasured) {
  StepPace pace(milliseconds(100));
  pace.measured(4, 0, milliseconds(8));
  EXPECT_NEAR(pace.answer_time(1), 0.008, 1e-9);
  EXPECT_NEAR(pace.answer_time(8), 0.010, 1e-9);  // a quarter for each row of one
  pace.measured(12, 0, milliseconds(9));
  EXPECT_NEAR(pace.answer_time(8), 0.009, 1e-9);
  EXPECT_NEAR(pace.answer_time(4), 0.008, 1e-9);
  EXPECT_GT(pace.answer_time(1000), 0.009);
}

}  // namespace
}  // namespace malina::engine
