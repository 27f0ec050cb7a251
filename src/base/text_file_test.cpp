#include "base/text_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::base {

namespace {

class TextFile : public testing::Test {
 protected:
  TextFile() { std::ofstream(path_, std::ios::binary) << "two\nlines\n"; }
  TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_.path() / "file";
};

TEST_F(TextFile, ReadsAllOfItOrItsBeginning) {
  EXPECT_EQ(read_text(path_), "two\nlines\n");
  EXPECT_EQ(read_text(File::open(path_)), "two\nlines\n");
  EXPECT_EQ(read_text(File::open(path_), 3), "two");
  EXPECT_EQ(read_text(File::open(path_), 100), "two\nlines\n");
}

TEST_F(TextFile, RefusesWhatIsLargerThanItsKind) {
  EXPECT_EQ(read_small_file(path_, 10), "two\nlines\n");
  try {
    read_small_file(path_, 9);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unsupported);
    EXPECT_EQ(error.what(),
              path_.string() + ": it has 10 bytes, more than the 9 that such a file may have");
  }
}

TEST_F(TextFile, AnEmptyFileIsAnEmptyText) {
  std::ofstream(path_, std::ios::trunc).close();
  EXPECT_EQ(read_text(path_), "");
}

}  // namespace

}  // namespace malina::base
