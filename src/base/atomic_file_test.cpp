#include "base/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::base {
namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t entries(const TemporaryDirectory& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory.path()),
                    std::filesystem::directory_iterator()));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  AtomicFile file(path);
  file.write("abc");
  EXPECT_FALSE(std::filesystem::exists(path));
  file.commit();
  EXPECT_EQ(content(path), "abc");
  EXPECT_EQ(entries(directory), 1U);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  {
    AtomicFile file(path);
    file.write("old");
    file.commit();
  }
  {
    AtomicFile file(path);
    file.write("new");
    EXPECT_EQ(entries(directory), 2U);
  }
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(entries(directory), 1U);
}

TEST(AtomicFile, ReplacesOrRefusesWhatIsThere) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  for (const char* text : {"one", "two"}) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
    EXPECT_EQ(content(path), text);
  }
  AtomicFile third(path, AtomicFile::Existing::refuse);
  third.write("three");
  try {
    third.commit();
    ADD_FAILURE() << "the name is taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::already_exists);
  }
  EXPECT_EQ(content(path), "two");

  AtomicFile fourth(directory.path() / "b", AtomicFile::Existing::refuse);
  fourth.write("four");
  fourth.commit();
  EXPECT_EQ(content(directory.path() / "b"), "four");
}

TEST(AtomicFile, LeavesNothingWhenTheDiskIsFull) {
  const TemporaryDirectory directory;
  {
    AtomicFile file(directory.path() / "a");
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    ASSERT_GE(::dup2(full, file.file().descriptor()), 0);
    ::close(full);
    try {
      file.write("x");
      ADD_FAILURE() << "the disk is full";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::io);
    }
  }
  EXPECT_EQ(entries(directory), 0U);
}

TEST(AtomicFile, NeedsADirectoryAndAName) {
  const TemporaryDirectory directory;
  EXPECT_THROW(AtomicFile(directory.path() / "none" / "a"), Error);
  EXPECT_THROW(AtomicFile(directory.path() / ""), Error);
}

TEST(AtomicFile, TakesTheLongestNames) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / std::string(255, 'n');
  AtomicFile file(path);
  file.commit();
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

TEST(AtomicFile, NamesTheTargetInItsErrors) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "none" / "a";
  try {
    AtomicFile file(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "cannot create " + path.string() + ": No such file or directory");
  }
}

TEST(AtomicFile, ReplacesRegularFilesOnly) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(AtomicFile(path, AtomicFile::Existing::replace), Error);
  EXPECT_TRUE(std::filesystem::is_fifo(path));
}

TEST(AtomicFile, TwoOfOneTargetDoNotMeet) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  AtomicFile first(path);
  AtomicFile second(path);
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(content(path), "first");
  EXPECT_EQ(entries(directory), 1U);
}

}  // namespace
}  // namespace malina::base
