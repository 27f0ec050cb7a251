#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace malina::base {
namespace {

TEST(Error, SystemErrorNamesTheThingAndTheCause) {
  errno = ENOENT;
  const Error error = system_error("cannot open /nowhere");
  EXPECT_EQ(error.fault(), Fault::not_found);
  EXPECT_STREQ(error.what(), "cannot open /nowhere: No such file or directory");
}

TEST(Error, EveryFaultHasItsOwnExitCode) {
  EXPECT_NE(exit_code(Fault::corrupt_file), exit_code(Fault::not_found));
  EXPECT_EQ(exit_code(Fault::cancelled), 130);
}

}  // namespace
}  // namespace malina::base
