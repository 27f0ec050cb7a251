#include "base/file_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::base {
namespace {

const std::size_t kPage = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

std::filesystem::path make_file(const TemporaryDirectory& directory, const std::string& name,
                                std::size_t bytes) {
  const auto path = directory.path() / name;
  File::create(path).write_all(std::vector<std::byte>(bytes, std::byte{7}));
  return path;
}

std::string error_of(const FileMap& map) {
  try {
    map.check();
  } catch (const Error& error) {
    return std::string(name(error.fault())) + ": " + error.what();
  }
  return "";
}

std::size_t sum_of(const FileMap& map) {
  std::size_t sum = 0;
  for (const std::byte byte : map.bytes()) sum += static_cast<std::size_t>(byte);
  return sum;
}

TEST(FileMap, HoldsTheFile) {
  const TemporaryDirectory directory;
  const FileMap map(File::open(make_file(directory, "a", 3 * kPage + 5)));
  EXPECT_EQ(map.bytes().size(), 3 * kPage + 5);
  EXPECT_EQ(sum_of(map), 7 * (3 * kPage + 5));
  EXPECT_EQ(error_of(map), "");
}

TEST(FileMap, OfAnEmptyFileIsEmpty) {
  const TemporaryDirectory directory;
  const FileMap map(File::open(make_file(directory, "a", 0)));
  EXPECT_TRUE(map.bytes().empty());
  EXPECT_EQ(error_of(map), "");
}

TEST(FileMap, OfAFileCutShortReadsZerosAndSaysSo) {
  const TemporaryDirectory directory;
  const auto path = make_file(directory, "a", 8 * kPage);
  const FileMap map(File::open(path));
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(3 * kPage)), 0);
  EXPECT_FALSE(map.damaged()) << "nobody has looked yet";
  EXPECT_EQ(sum_of(map), 7 * 3 * kPage);
  EXPECT_TRUE(map.damaged());
  EXPECT_EQ(error_of(map),
            "corrupt_file: " + path.string() + " was cut short while being read: it had " +
                std::to_string(8 * kPage) + " bytes and now has " + std::to_string(3 * kPage));
}

TEST(FileMap, KnowsACutInsideThePageThatIsStillThere) {
  const TemporaryDirectory directory;
  const auto path = make_file(directory, "a", kPage + 100);
  const FileMap map(File::open(path));
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(kPage + 50)), 0);
  EXPECT_EQ(sum_of(map), 7 * (kPage + 50));
  EXPECT_NE(error_of(map).find("was cut short while being read"), std::string::npos);
}

TEST(FileMap, StaysDamagedWhenTheFileGrowsAgain) {
  const TemporaryDirectory directory;
  const auto path = make_file(directory, "a", 4 * kPage);
  const FileMap map(File::open(path));
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  EXPECT_EQ(sum_of(map), 0U);
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(4 * kPage)), 0);
  EXPECT_EQ(error_of(map).find("io: "), 0U);
}

TEST(FileMap, DamageIsOfOneMapAmongMany) {
  const TemporaryDirectory directory;
  std::vector<std::unique_ptr<FileMap>> maps;
  for (int i = 0; i < 200; ++i)
    maps.push_back(
        std::make_unique<FileMap>(File::open(make_file(directory, std::to_string(i), 2 * kPage))));
  ASSERT_EQ(::truncate(maps[150]->file().path().c_str(), 0), 0);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    EXPECT_EQ(sum_of(*maps[i]), i == 150 ? 0U : 14 * kPage) << i;
    EXPECT_EQ(maps[i]->damaged(), i == 150) << i;
  }
}

TEST(FileMap, ThreadsMapAndMeetCutFilesAtOnce) {
  const TemporaryDirectory directory;
  const FileMap whole(File::open(make_file(directory, "whole", 16 * kPage)));
  const auto work = [&](int worker) {
    for (int round = 0; round < 40; ++round) {
      const auto path =
          make_file(directory, std::to_string(worker) + "-" + std::to_string(round), 8 * kPage);
      const FileMap map(File::open(path));
      ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(kPage)), 0);
      EXPECT_EQ(sum_of(map), 7 * kPage);
      EXPECT_TRUE(map.damaged());
      EXPECT_EQ(sum_of(whole), 7 * 16 * kPage);
    }
  };
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker) threads.emplace_back(work, worker);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(whole.damaged());
}

TEST(FileMap, ManyReadersOfOneCutFileAllComeBack) {
  const TemporaryDirectory directory;
  const auto path = make_file(directory, "a", 64 * kPage);
  const FileMap map(File::open(path));
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker)
    threads.emplace_back([&] { EXPECT_EQ(sum_of(map), 0U); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(map.damaged());
}

// A mapping of its own that no FileMap knows, and a fault in it.
void fault_elsewhere(const TemporaryDirectory& directory) {
  const auto path = make_file(directory, "foreign", 2 * kPage);
  const File file = File::open(path);
  const void* memory = ::mmap(nullptr, 2 * kPage, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (memory == MAP_FAILED || ::truncate(path.c_str(), 0) != 0) ::_exit(99);
  std::filesystem::remove_all(directory.path());  // nobody else will: this process ends here
  const volatile auto* bytes = static_cast<const volatile unsigned char*>(memory);
  static_cast<void>(bytes[kPage]);
  ::_exit(98);
}

// Each in a process of its own, started anew: the handler is installed once a process.
TEST(FileMapDeathTest, FaultsOfOthersReachTheHandlerThatWasThere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TemporaryDirectory directory;
  EXPECT_EXIT(
      {
        ::signal(SIGBUS, [](int) { ::_exit(42); });
        const FileMap map(File::open(make_file(directory, "own", kPage)));
        fault_elsewhere(directory);
      },
      testing::ExitedWithCode(42), "");
}

TEST(FileMapDeathTest, FaultsOfOthersEndTheProcessWhereThereWasNoHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TemporaryDirectory directory;
  EXPECT_EXIT(
      {
        ::signal(SIGBUS, SIG_DFL);
        const FileMap map(File::open(make_file(directory, "own", kPage)));
        fault_elsewhere(directory);
      },
      testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace malina::base
