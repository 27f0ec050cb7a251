#include "govern/pepper.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::govern {
namespace {

class PepperTest : public testing::Test {
 protected:
  ~PepperTest() override {
    ::unsetenv("MALINA_PEPPER_FILE");
    ::unsetenv("CREDENTIALS_DIRECTORY");
  }
  const std::filesystem::path& home() const { return folder_.path(); }
  base::Fault fault(MissingPepper missing) const {
    try {
      load_pepper(home(), missing);
    } catch (const base::Error& error) {
      return error.fault();
    }
    ADD_FAILURE() << "nothing was thrown";
    return base::Fault::internal;
  }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(home() / name) << content;
    ::chmod((home() / name).c_str(), 0600);
    return home() / name;
  }

  base::TemporaryDirectory folder_;
};

TEST_F(PepperTest, IsCreatedOncePrivateAndKept) {
  EXPECT_EQ(fault(MissingPepper::refuse), base::Fault::not_found);
  const std::string first(load_pepper(home(), MissingPepper::create).bytes());
  EXPECT_GE(first.size(), Pepper::kLeastBytes);
  EXPECT_EQ(load_pepper(home(), MissingPepper::refuse).bytes(), first);
  struct stat status{};
  ASSERT_EQ(::stat((home() / "pepper").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(PepperTest, AllWhoCreateItAtOnceHaveTheSameOne) {
  std::vector<std::string> found(8);
  std::vector<std::thread> threads;
  for (std::string& each : found)
    threads.emplace_back([&] { each = load_pepper(home(), MissingPepper::create).bytes(); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), 1U);
}

TEST_F(PepperTest, ReadableByOthersIsRefused) {
  write("pepper", std::string(40, 'a'));
  ::chmod((home() / "pepper").c_str(), 0644);
  EXPECT_EQ(fault(MissingPepper::create), base::Fault::invalid_argument);
}

TEST_F(PepperTest, TooShortOrTooLongIsRefused) {
  write("pepper", std::string(31, 'a') + "\n\n");
  EXPECT_EQ(fault(MissingPepper::create), base::Fault::invalid_argument);
  write("pepper", std::string(5000, 'a'));
  EXPECT_EQ(fault(MissingPepper::create), base::Fault::invalid_argument);
}

TEST_F(PepperTest, GivenFileAndCredentialComeFirst) {
  write("pepper", std::string(32, 'a'));
  write("malina.pepper", std::string(32, 'b') + "\n");
  ::setenv("CREDENTIALS_DIRECTORY", home().c_str(), 1);
  EXPECT_EQ(load_pepper(home(), MissingPepper::create).bytes(), std::string(32, 'b'));
  ::setenv("MALINA_PEPPER_FILE", write("mine", std::string(33, 'c')).c_str(), 1);
  EXPECT_EQ(load_pepper(home(), MissingPepper::create).bytes(), std::string(33, 'c'));
  ::setenv("MALINA_PEPPER_FILE", "/nonexistent", 1);
  EXPECT_EQ(fault(MissingPepper::create), base::Fault::not_found) << "never another one instead";
}

}  // namespace
}  // namespace malina::govern
