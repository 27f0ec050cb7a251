#include "tune/snapshot.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::tune {
namespace {

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() {
    const std::vector<float> first{1, -2.5F, 3e-30F}, second{};
    const std::vector<std::span<const float>> arrays{first, second};
    write_snapshot(path_, {{"step", 7}}, arrays);
    std::ifstream stream(path_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
  }
  void write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  base::TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "job.snapshot";
  std::string bytes_;
};

TEST_F(SnapshotTest, GivesBackWhatWasWritten) {
  const auto snapshot = read_snapshot(path_);
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_EQ(snapshot->state.at("step"), 7);
  EXPECT_EQ(snapshot->arrays, (std::vector<std::vector<float>>{{1, -2.5F, 3e-30F}, {}}));
  EXPECT_FALSE(read_snapshot(directory_.path() / "none").has_value());
}

TEST_F(SnapshotTest, ReadsArraysIntoTheirPlaceWhereTheyFit) {
  std::vector<float> place(3), other(2);
  const std::vector<std::span<float>> fitting{place};
  auto snapshot = read_snapshot(path_, fitting);
  EXPECT_EQ(place, (std::vector<float>{1, -2.5F, 3e-30F}));
  EXPECT_EQ(snapshot->arrays, (std::vector<std::vector<float>>{{}, {}}));
  const std::vector<std::span<float>> too_small{other};
  snapshot = read_snapshot(path_, too_small);
  EXPECT_EQ(snapshot->arrays[0].size(), 3U);
  EXPECT_EQ(other, (std::vector<float>{0, 0}));
  const std::vector<std::span<float>> missing{place, other};
  EXPECT_THROW(read_snapshot(path_, missing), base::Error);
}

TEST_F(SnapshotTest, RefusesEveryByteThatIsNotAsItWas) {
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    std::string broken = bytes_;
    broken[i] = static_cast<char>(broken[i] ^ 0x21);
    write(broken);
    EXPECT_THROW(read_snapshot(path_), base::Error) << "byte " << i;
    write(bytes_.substr(0, i));
    EXPECT_THROW(read_snapshot(path_), base::Error) << "cut at " << i;
  }
  write(bytes_ + "x");
  EXPECT_THROW(read_snapshot(path_), base::Error);
}

}  // namespace
}  // namespace malina::tune
