#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::base {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(Fault::internal, "nothing was thrown");
}

TEST(File, ReadsBackWhatWasWritten) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  File written = File::create(path);
  written.write_all(bytes_of("hello "));
  written.write_all(bytes_of("world"));
  written.sync();
  written.close();

  const File file = File::open(path);
  EXPECT_EQ(file.size(), 11U);
  std::string text(5, '\0');
  file.read_at(6, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "world");
}

TEST(File, ThatEndsTooEarlyIsNamed) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "short";
  File::create(path).write_all(bytes_of("abc"));
  const File file = File::open(path);
  std::vector<std::byte> output(4);
  const Error error = error_of([&] { file.read_at(1, output); });
  EXPECT_EQ(error.fault(), Fault::corrupt_file);
  EXPECT_EQ(std::string(error.what()),
            path.string() +
                " was cut short while being read: it ends at byte 3, and byte 4 was to be read");
}

TEST(File, WhatIsNoFileIsRefusedByItsKind) {
  const TemporaryDirectory directory;
  EXPECT_EQ(std::string(error_of([&] { File::open(directory.path()); }).what()),
            directory.path().string() + " is a directory, not a file");
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(std::string(error_of([&] { File::open(pipe); }).what()),
            pipe.string() + " is a pipe, not a file")
      << "and it does not wait for a writer";
  EXPECT_EQ(error_of([] { File::open("/dev/null"); }).fault(), Fault::invalid_argument);
  EXPECT_EQ(error_of([&] { File::open(directory.path() / "none"); }).fault(), Fault::not_found);
}

TEST(File, CreateRefusesANameThatIsTaken) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  File::create(path);
  EXPECT_EQ(error_of([&] { File::create(path); }).fault(), Fault::already_exists);
  EXPECT_EQ(error_of([&] { File::create(directory.path() / "none" / "a"); }).fault(),
            Fault::not_found);
}

TEST(File, AFullDiskIsReported) {
  // /dev/full refuses every write as a full disk does; it is opened past File, which takes no
  // device.
  const TemporaryDirectory directory;
  File file = File::create(directory.path() / "a");
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  ASSERT_GE(::dup2(full, file.descriptor()), 0);
  ::close(full);
  const Error error = error_of([&] { file.write_all(bytes_of("x")); });
  EXPECT_EQ(error.fault(), Fault::io);
  EXPECT_NE(std::string(error.what()).find("No space left on device"), std::string::npos);
}

TEST(File, MovesItsDescriptor) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  File::create(path).write_all(bytes_of("abc"));
  File first = File::open(path);
  File second = std::move(first);
  EXPECT_EQ(second.size(), 3U);
  first = std::move(second);
  EXPECT_EQ(first.size(), 3U);
}

TEST(File, AppendsToWhatIsThere) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "rows";
  for (const std::string_view text : {"one", "two"})
    File::append(path).write_all(std::as_bytes(std::span(text)));
  const File file = File::open(path);
  std::string text(file.size(), ' ');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "onetwo");
  EXPECT_THROW(File::append(directory.path()), Error);
}

}  // namespace
}  // namespace malina::base
