#include "platform/serving_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "base/temporary_directory.h"

namespace malina::platform {
namespace {

std::string refusal(const std::filesystem::path& home) {
  try {
    const ServingLock lock(home);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::already_exists);
    return error.what();
  }
  return "";
}

TEST(ServingLock, NamesTheProcessThatHoldsIt) {
  const base::TemporaryDirectory folder;
  std::optional<ServingLock> lock(std::in_place, folder.path());
  const std::string message = refusal(folder.path());
  EXPECT_NE(message.find("process " + std::to_string(::getpid()) + ")"), std::string::npos)
      << message;
  lock.reset();
  EXPECT_EQ(refusal(folder.path()), "");
}

TEST(ServingLock, GoesWithItsProcess) {
  const base::TemporaryDirectory folder;
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const ServingLock lock(folder.path());
    [[maybe_unused]] const auto written = ::write(told[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(told[0], &byte, 1), 1);
  EXPECT_NE(refusal(folder.path()).find(std::to_string(child)), std::string::npos);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(refusal(folder.path()), "");
  ::close(told[0]);
  ::close(told[1]);
}

}  // namespace
}  // namespace malina::platform
