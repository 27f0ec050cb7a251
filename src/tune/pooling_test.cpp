#include "tune/pooling.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/random.h"

namespace malina::tune {
namespace {

constexpr std::size_t kWidth = 5;
constexpr std::array<std::size_t, 3> kCounts{3, 1, 4};

class PoolingTest : public ::testing::Test {
 protected:
  base::ThreadPool pool_{1};
  math::CpuDevice device_{pool_};
  std::unique_ptr<math::Buffer> rows_ = device_.allocate(8 * kWidth * sizeof(float));
  std::unique_ptr<math::Buffer> means_ = device_.allocate(3 * kWidth * sizeof(float));
  math::Slice hidden_ = math::float_slice(*rows_, 0, 8, kWidth);
  math::Slice pooled_ = math::float_slice(*means_, 0, 3, kWidth);

  void fill() {
    base::Random random(1);
    for (std::size_t i = 0; i < 8 * kWidth; ++i)
      math::host_floats(hidden_)[i] = static_cast<float>(random.below(1000)) / 100;
  }
};

TEST_F(PoolingTest, IsTheMeanOfEachTextsRows) {
  fill();
  mean_of_rows(hidden_, kCounts, pooled_);
  const float* rows = math::host_floats(hidden_);
  const float* means = math::host_floats(pooled_);
  for (std::size_t k = 0; k < kWidth; ++k) {
    EXPECT_FLOAT_EQ(means[k], (rows[k] + rows[kWidth + k] + rows[2 * kWidth + k]) / 3);
    EXPECT_EQ(means[kWidth + k], rows[3 * kWidth + k]);
  }
}

TEST_F(PoolingTest, MayBeWrittenOverTheRows) {
  fill();
  mean_of_rows(hidden_, kCounts, pooled_);
  mean_of_rows(hidden_, kCounts, hidden_.row_range(0, 3));
  for (std::size_t i = 0; i < 3 * kWidth; ++i)
    EXPECT_EQ(math::host_floats(hidden_)[i], math::host_floats(pooled_)[i]);
}

// The transpose of the forward: <mean(x), y> = <x, back(y)>.
TEST_F(PoolingTest, BackwardIsItsTranspose) {
  fill();
  mean_of_rows(hidden_, kCounts, pooled_);
  std::vector<float> given(3 * kWidth);
  base::Random random(2);
  for (float& value : given) value = static_cast<float>(random.below(1000)) / 100 - 5;
  double forward = 0, back = 0;
  for (std::size_t i = 0; i < given.size(); ++i)
    forward += double{math::host_floats(pooled_)[i]} * double{given[i]};
  std::copy(given.begin(), given.end(), math::host_floats(pooled_));
  const std::vector<float> rows(math::host_floats(hidden_),
                                math::host_floats(hidden_) + 8 * kWidth);
  mean_of_rows_backward(pooled_, kCounts, hidden_);
  for (std::size_t i = 0; i < rows.size(); ++i)
    back += double{rows[i]} * double{math::host_floats(hidden_)[i]};
  EXPECT_NEAR(forward, back, 1e-4);
}

}  // namespace
}  // namespace malina::tune
