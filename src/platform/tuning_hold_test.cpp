#include "platform/tuning_hold.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::platform {
namespace {

constexpr const char* kName = "base:name";

std::string refusal(const std::filesystem::path& home, const std::string& name) {
  try {
    const TuningHold hold(home, name);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::already_exists);
    return error.what();
  }
  return "";
}

TEST(TuningHold, KeepsANameFromOthersAndNamesItsProcess) {
  const base::TemporaryDirectory home;
  std::optional<TuningHold> hold(std::in_place, home.path(), kName);
  EXPECT_EQ(refusal(home.path(), kName),
            "base:name is being tuned (process " + std::to_string(::getpid()) +
                "): wait until that has ended, or choose another name");
  EXPECT_EQ(refusal(home.path(), "base:other"), "");
  hold.reset();
  EXPECT_EQ(refusal(home.path(), kName), "");
  EXPECT_TRUE(std::filesystem::is_empty(home.path() / "tuned" / ".holds"));
}

TEST(TuningHold, LeavesItsFileWhereSomethingIsLeft) {
  for (const auto& left : left_of_tuning("", kName)) {
    const base::TemporaryDirectory home;
    const std::filesystem::path snapshot = home.path() / left;
    std::optional<TuningHold> hold(std::in_place, home.path(), kName);
    std::ofstream(snapshot) << "parameters";
    hold.reset();
    EXPECT_TRUE(TuningHold::unfinished(home.path(), kName)) << left;
    EXPECT_FALSE(TuningHold::unfinished(home.path(), "base:other"));
    hold.emplace(home.path(), kName);  // who goes on
    std::filesystem::remove(snapshot);
    hold.reset();
    EXPECT_FALSE(TuningHold::unfinished(home.path(), kName)) << left;
    // What no hold began is a job's.
    std::ofstream(snapshot) << "parameters";
    EXPECT_FALSE(TuningHold::unfinished(home.path(), kName)) << left;
  }
}

TEST(TuningHold, OfAnOutputStandsBesideIt) {
  const base::TemporaryDirectory folder;
  const std::filesystem::path output = folder.path() / "new" / "mine";
  std::optional<TuningHold> hold(std::in_place, output);
  EXPECT_THROW(TuningHold{output}, base::Error);
  hold.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "new"));
}

}  // namespace
}  // namespace malina::platform
