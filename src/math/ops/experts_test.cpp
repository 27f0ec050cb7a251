#include "math/ops/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"

namespace malina::math {
namespace {

class Experts : public testing::Test {
 protected:
  Slice place(const std::vector<std::vector<float>>& rows) {
    buffers_.push_back(device_.allocate(rows.size() * rows[0].size() * sizeof(float)));
    const Slice slice = float_slice(*buffers_.back(), 0, rows.size(), rows[0].size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::memcpy(host_floats(slice) + i * slice.stride, rows[i].data(),
                  rows[i].size() * sizeof(float));
    return slice;
  }
  std::vector<ExpertChoice> choose(const std::vector<std::vector<float>>& scores,
                                   std::size_t used) {
    std::vector<ExpertChoice> choices(scores.size() * used);
    device_.run(ChooseExperts{place(scores), used, choices});
    return choices;
  }

  base::ThreadPool pool_{2};
  CpuDevice device_{pool_};
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

TEST_F(Experts, AreTheLikeliestInOrderOfTheirIndex) {
  const auto choices = choose({{0, 3, 1, 2}, {5, -1, -1, 6}}, 2);
  EXPECT_EQ(choices[0].expert, 1u);
  EXPECT_EQ(choices[1].expert, 3u);
  // softmax over all four, then divided by the sum of the two: the same as over the two alone.
  EXPECT_NEAR(choices[0].weight, 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(choices[0].weight + choices[1].weight, 1, 1e-6);
  EXPECT_EQ(choices[2].expert, 0u);
  EXPECT_EQ(choices[3].expert, 3u);
}

TEST_F(Experts, TiesGoToTheLowestIndex) {
  const auto choices = choose({{1, 2, 2, 2}, {0, 0, 0, 0}}, 2);
  EXPECT_EQ(choices[0].expert, 1u);
  EXPECT_EQ(choices[1].expert, 2u);
  EXPECT_EQ(choices[2].expert, 0u);
  EXPECT_EQ(choices[3].expert, 1u);
  EXPECT_EQ(choices[3].weight, 0.5F);
}

TEST_F(Experts, HugeScoresStayFinite) {
  const auto choices = choose({{-1e30F, 1e30F, 3}}, 2);
  EXPECT_EQ(choices[0].expert, 1u);
  EXPECT_EQ(choices[0].weight, 1.0F);
  EXPECT_EQ(choices[1].weight, 0.0F);
}

TEST_F(Experts, AddWhatTheyGive) {
  const Slice output = place({{1, 1}, {2, 2}, {3, 3}});
  const std::vector<std::size_t> rows{2, 0};
  const std::vector<float> weights{0.5F, 2};
  device_.run(AddWeightedRows{place({{10, 20}, {1, 2}}), output, rows, weights});
  const std::vector<float> expected{3, 5, 2, 2, 8, 13};
  EXPECT_EQ(std::vector<float>(host_floats(output), host_floats(output) + 6), expected);
  const std::vector<std::size_t> outside{2, 3};
  EXPECT_THROW(
      device_.run(AddWeightedRows{place({{10, 20}, {1, 2}}), output, outside, weights}),
      base::Error);
}

}  // namespace
}  // namespace malina::math
