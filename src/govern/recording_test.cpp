#include "govern/recording.h"

#include <gtest/gtest.h>

#include <future>

#include "base/temporary_directory.h"
#include "govern/record_keeper.h"
#include "store/faulty_disk.h"

namespace malina::govern {
namespace {

class RecordingTest : public testing::Test {
 protected:
  std::unique_ptr<RecordKeeper> keeper() {
    return std::make_unique<RecordKeeper>(
        folder_.path(), store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write),
        chain_);
  }
  static void record(RecordKeeper& keeper) {
    std::promise<void> done;
    keeper.audit().record({.actor = {"mk_a", "shop"}, .action = "chat", .outcome = "done"},
                          [&](std::exception_ptr) { done.set_value(); });
    done.get_future().get();
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  AuditChain chain_{clock_};
  store::FaultyDisk disk_;
};

TEST_F(RecordingTest, AFullDiskIsToldByTheRecordThatFailedAndGoesByItself) {
  const auto keeper = this->keeper();
  EXPECT_EQ(keeper->recording().recording, Recording::works);
  disk_.fail_write_after(0);
  record(*keeper);
  EXPECT_EQ(keeper->recording().recording, Recording::disk_full);
  EXPECT_NE(keeper->recording().cause.find("disk full"), std::string::npos);
  clock_.advance(RecordingWatch::kBadFor);
  EXPECT_EQ(keeper->recording().recording, Recording::disk_full) << "it has asked again";
  disk_.fail_write_after(-1);
  EXPECT_EQ(keeper->recording().recording, Recording::disk_full) << "not asked within a second";
  clock_.advance(RecordingWatch::kBadFor);
  EXPECT_EQ(keeper->recording().recording, Recording::works) << "without any record";
}

TEST_F(RecordingTest, AFullDiskIsFoundWhereNobodyRecords) {
  const auto keeper = this->keeper();
  EXPECT_EQ(keeper->recording().recording, Recording::works);
  disk_.fail_write_after(0);
  EXPECT_EQ(keeper->recording().recording, Recording::works);
  clock_.advance(RecordingWatch::kGoodFor);
  EXPECT_EQ(keeper->recording().recording, Recording::disk_full);
  disk_.fail_write_after(-1);
}

TEST_F(RecordingTest, AFailedSyncHoldsUntilARestart) {
  {
    const auto keeper = this->keeper();
    disk_.fail_sync_after(0);
    record(*keeper);
    EXPECT_EQ(keeper->recording().recording, Recording::read_only);
    clock_.advance(std::chrono::hours(1));
    EXPECT_EQ(keeper->recording().recording, Recording::read_only);
  }
  EXPECT_EQ(this->keeper()->recording().recording, Recording::works);
}

TEST_F(RecordingTest, OneAsksForAll) {
  RecordingWatch watch(clock_);
  EXPECT_TRUE(watch.should_ask());
  EXPECT_FALSE(watch.should_ask()) << "the first is still waiting for the disk";
  watch.note(nullptr);
  EXPECT_FALSE(watch.should_ask());
  clock_.advance(RecordingWatch::kGoodFor);
  EXPECT_TRUE(watch.should_ask());
}

}  // namespace
}  // namespace malina::govern
