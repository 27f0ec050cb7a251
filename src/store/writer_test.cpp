#include "store/writer.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "base/temporary_directory.h"
#include "store/faulty_disk.h"

namespace malina::store {
namespace {

constexpr std::array<Migration, 1> kSchema{
    Migration{1, "0001", "CREATE TABLE t (k BIGINT PRIMARY KEY, v TEXT NOT NULL);"}};

Writer::Work insert(std::int64_t key, std::string value = "x") {
  return [key, value = std::move(value)](Database& database) {
    database.execute("INSERT INTO t VALUES (?1, ?2)", {key, value});
  };
}

std::string message_of(std::future<void> future, base::Fault fault) {
  try {
    future.get();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

class WriterTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open() const {
    return open_sqlite(folder_.path() / "t.db", Access::read_write, kSchema);
  }
  // What another connection sees: what is committed.
  std::int64_t count() const { return open()->query("SELECT COUNT(*) FROM t").at(0).integer(0); }

  base::TemporaryDirectory folder_;
};

TEST_F(WriterTest, WorkIsCommittedWhenItResolves) {
  const auto database = open();
  Writer writer(*database);
  for (int i = 0; i < 20; ++i) {
    writer.submit(insert(i)).get();
    EXPECT_EQ(count(), i + 1);
  }
}

TEST_F(WriterTest, DestructionDoesWhatWasSubmitted) {
  const auto database = open();
  {
    Writer writer(*database);
    for (int i = 0; i < 500; ++i) writer.submit(insert(i), [](std::exception_ptr) {});
  }
  EXPECT_EQ(count(), 500);
}

TEST_F(WriterTest, WorkThatThrowsIsUndoneAlone) {
  const auto database = open();
  Writer writer(*database);
  std::promise<void> hold;
  // Keeps the thread busy, so that what follows shares one transaction.
  auto first = writer.submit([&](Database&) { hold.get_future().wait(); });
  auto before = writer.submit(insert(1));
  auto failing = writer.submit([](Database& d) {
    d.execute("INSERT INTO t VALUES (2, 'undone')");
    throw base::Error(base::Fault::denied, "stop");
  });
  auto broken = writer.submit(insert(1, "taken"));
  auto after = writer.submit(insert(3));
  hold.set_value();
  first.get();
  EXPECT_NO_THROW(before.get());
  EXPECT_EQ(message_of(std::move(failing), base::Fault::denied), "stop");
  EXPECT_NE(message_of(std::move(broken), base::Fault::internal).find("UNIQUE"), std::string::npos);
  EXPECT_NO_THROW(after.get());
  const auto rows = open()->query("SELECT k, v FROM t ORDER BY k");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].text(1), "x");
  EXPECT_EQ(rows[1].integer(0), 3);
}

TEST_F(WriterTest, WorkThatWaitsTogetherSharesOneSync) {
  FaultyDisk disk;
  const auto database = open();
  Writer writer(*database);
  std::promise<void> hold;
  auto first = writer.submit([&](Database&) { hold.get_future().wait(); });
  std::vector<std::future<void>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(writer.submit(insert(i)));
  const int before = disk.syncs();
  hold.set_value();
  for (auto& future : futures) future.get();
  EXPECT_LE(disk.syncs() - before, 3) << "of a hundred";
  EXPECT_EQ(count(), 100);
}

TEST_F(WriterTest, KeepsItsOrder) {
  const auto database = open();
  Writer writer(*database);
  std::vector<int> order;
  std::vector<std::future<void>> futures;
  for (int i = 0; i < 300; ++i)
    futures.push_back(writer.submit([&order, i](Database&) { order.push_back(i); }));
  for (auto& future : futures) future.get();
  for (int i = 0; i < 300; ++i) EXPECT_EQ(order.at(i), i);
}

TEST_F(WriterTest, MoreThanItHoldsIsRefusedAtOnce) {
  const auto database = open();
  Writer writer(*database, {.most_waiting = 3});
  std::promise<void> hold, begun;
  auto first = writer.submit([&](Database&) {
    begun.set_value();
    hold.get_future().wait();
  });
  begun.get_future().wait();
  std::vector<std::future<void>> taken;
  for (int i = 0; i < 3; ++i) taken.push_back(writer.submit(insert(i)));
  EXPECT_EQ(writer.waiting(), 3U);
  message_of(writer.submit(insert(9)), base::Fault::overloaded);
  hold.set_value();
  for (auto& future : taken) future.get();
  EXPECT_EQ(count(), 3);
}

TEST_F(WriterTest, FullDiskFailsAndTheNextWorkIsTriedAgain) {
  FaultyDisk disk;
  const auto database = open();
  Writer writer(*database);
  writer.submit(insert(1)).get();
  disk.fail_write_after(0);
  for (int i = 2; i < 6; ++i)
    EXPECT_NE(message_of(writer.submit(insert(i)), base::Fault::io).find("disk full"),
              std::string::npos);
  EXPECT_FALSE(writer.read_only());
  disk.fail_write_after(-1);
  EXPECT_NO_THROW(writer.submit(insert(7)).get());
  EXPECT_EQ(count(), 2) << "by itself, and without what failed";
}

// The Nth write fails, for every N until none does: what was acknowledged is there, and nothing
// else.
TEST_F(WriterTest, WriteThatFailsAnywhereLosesNothingAcknowledged) {
  FaultyDisk disk;
  const auto database = open();
  Writer writer(*database);
  std::int64_t key = 0, acknowledged = 0;
  for (int n = 0; n < 60; ++n) {
    disk.fail_write_after(n, false);
    std::vector<std::future<void>> futures;
    for (int i = 0; i < 5; ++i)
      futures.push_back(writer.submit(insert(key++, std::string(3000, 'x'))));
    for (auto& future : futures) {
      try {
        future.get();
        ++acknowledged;
      } catch (const StorageError& error) {
        EXPECT_EQ(error.kind(), StorageError::Kind::disk_full);
      }
    }
    disk.fail_write_after(-1);
    ASSERT_EQ(count(), acknowledged) << "the write after " << n;
  }
  EXPECT_LT(acknowledged, key) << "none failed";
  EXPECT_GT(acknowledged, 0);
}

TEST_F(WriterTest, FailedSyncEndsAllWritingUntilARestart) {
  FaultyDisk disk;
  auto database = open();
  {
    Writer writer(*database);
    writer.submit(insert(1)).get();
    disk.fail_sync_after(0);  // once: the next one would report success
    message_of(writer.submit(insert(2)), base::Fault::io);
    EXPECT_TRUE(writer.read_only());
    EXPECT_NE(writer.read_only_because().find("until the program is started again"),
              std::string::npos);
    for (int i = 3; i < 6; ++i)
      EXPECT_EQ(message_of(writer.submit(insert(i)), base::Fault::io), writer.read_only_because());
    EXPECT_EQ(database->query("SELECT k FROM t").size(), 1U) << "reading goes on";
    EXPECT_THROW(database->execute("DELETE FROM t"), StorageError);
  }
  database = open();
  Writer writer(*database);
  EXPECT_NO_THROW(writer.submit(insert(7)).get());
}

// SQLite copies the log into the file now and then, and would not tell that this failed.
TEST_F(WriterTest, FailedSyncOfTheFileBehindTheLogIsNoticed) {
  FaultyDisk disk;
  disk.only(".db");
  const auto database = open();
  Writer writer(*database);
  disk.fail_sync_after(0);
  int done = 0;
  for (int i = 0; i < 400 && !writer.read_only(); ++i) {
    try {
      writer.submit(insert(i, std::string(20'000, 'x'))).get();
      ++done;
    } catch (const StorageError&) {
    }
  }
  EXPECT_TRUE(writer.read_only());
  EXPECT_GT(done, 100);
  EXPECT_EQ(database->query("SELECT COUNT(*) FROM t").at(0).integer(0), done)
      << "the commit itself was in the log, and durable";
}

TEST_F(WriterTest, ManyThreadsSubmit) {
  const auto database = open();
  Writer writer(*database);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) writer.submit(insert(t * 1000 + i)).get();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count(), 400);
}

}  // namespace
}  // namespace malina::store
