#include "platform/tuning_hold.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>
#include <vector>

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

const char* const kLeft[] = {
    "base:name.snapshot",          "base:name.snapshot.labels",
    "base:name.snapshot.all-rows", "base:name.snapshot.search-2-0.0005",
    ".base:name.adapter",          ".base:name.adapter.snapshot.curve-13.result",
    ".base:name.gguf.snapshot",    ".base:name.gguf"};

TEST(TuningHold, LeavesItsFileWhereSomethingIsLeft) {
  for (const char* left : kLeft) {
    SCOPED_TRACE(left);
    const base::TemporaryDirectory home;
    const std::filesystem::path file = home.path() / "tuned" / ".holds" / kName;
    const std::filesystem::path snapshot = home.path() / "tuned" / left;
    std::optional<TuningHold> hold(std::in_place, home.path(), kName);
    std::ofstream(snapshot) << "parameters";
    EXPECT_FALSE(hold->continues());
    EXPECT_EQ(left_of_tuning(home.path(), kName), std::vector{snapshot});
    EXPECT_TRUE(left_of_tuning(home.path(), "base:other").empty());
    hold.reset();
    EXPECT_TRUE(std::filesystem::exists(file));
    hold.emplace(home.path(), kName);  // who goes on
    EXPECT_TRUE(hold->continues());
    std::filesystem::remove(snapshot);
    hold.reset();
    EXPECT_FALSE(std::filesystem::exists(file));
    // What a record has.
    std::ofstream(snapshot) << "parameters";
    hold.emplace(home.path(), kName);
    EXPECT_FALSE(hold->continues());
    hold->leave_nothing();
    hold.reset();
    EXPECT_FALSE(std::filesystem::exists(file));
  }
}

TEST(TuningHold, NothingElseIsWrittenTo) {
  const base::TemporaryDirectory folder;
  const std::filesystem::path file = folder.path() / ".mine.hold";
  std::ofstream(folder.path() / "precious") << "precious\n";
  const auto check = [&] {
    EXPECT_THROW(TuningHold(folder.path() / "mine"), base::Error);
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(file)));
    std::filesystem::remove(file);
  };
  std::filesystem::copy_file(folder.path() / "precious", file);
  check();
  std::filesystem::create_symlink("precious", file);
  check();
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "precious"), 9U);
  std::filesystem::create_directory(file);
  check();
  std::ofstream(file) << "123\n";  // of one that was killed
  {
    const TuningHold hold(folder.path() / "mine");
  }
  EXPECT_FALSE(std::filesystem::exists(file));
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
