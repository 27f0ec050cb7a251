#include "store/database.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"

namespace malina::store {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string pattern = testing::TempDir() + "malina_database_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return folder_ / "a b?%#.db"; }
  std::unique_ptr<Database> open() const {
    return open_sqlite(file(), Access::read_write, kSchema);
  }

  static constexpr std::array<Migration, 1> kSchema{
      Migration{1, "0001", "CREATE TABLE t (k TEXT PRIMARY KEY, v BIGINT);"}};
  std::filesystem::path folder_;
};

base::Fault fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Fault::internal;
}

TEST_F(DatabaseTest, KeepsWhatWasCommitted) {
  const std::string text("a\0b'\xFF", 5);
  open()->execute("INSERT INTO t VALUES (?1, ?2)", {text, std::int64_t{-5}});
  const auto rows = open()->query("SELECT k, v, NULL FROM t WHERE k = ?1", {text});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].text(0), text);
  EXPECT_EQ(rows[0].integer(1), -5);
  EXPECT_TRUE(rows[0].is_null(2));
  EXPECT_EQ(fault_of([&] { rows[0].integer(0); }), base::Fault::internal);
  EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(DatabaseTest, IsItsOwnersAloneWhateverTheUmask) {
  for (const mode_t mask : {0000, 0022, 0777}) {
    const mode_t before = ::umask(mask);
    const auto database = open();
    database->execute("INSERT INTO t VALUES ('x', 1)");
    ::umask(before);
    for (const char* ending : {"", "-wal", "-shm"}) {
      struct stat status{};
      ASSERT_EQ(::stat((file().string() + ending).c_str(), &status), 0) << ending;
      EXPECT_EQ(status.st_mode & 07777, 0600U) << ending << " with umask " << mask;
    }
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
}

TEST_F(DatabaseTest, TransactionThatThrowsLeavesNothing) {
  const auto database = open();
  EXPECT_THROW(database->transaction([&] {
    database->execute("INSERT INTO t VALUES ('x', 1)");
    throw std::runtime_error("stop");
  }),
               std::runtime_error);
  EXPECT_TRUE(database->query("SELECT * FROM t").empty());
  database->transaction([&] { database->execute("INSERT INTO t VALUES ('x', 1)"); });
  EXPECT_EQ(database->query("SELECT * FROM t").size(), 1U);
}

TEST_F(DatabaseTest, AppliesOnlyTheMigrationsThatAreMissing) {
  open()->execute("INSERT INTO t VALUES ('x', 1)");
  const std::array<Migration, 2> newer{
      kSchema[0], Migration{2, "0002", "ALTER TABLE t ADD COLUMN w BIGINT DEFAULT 7;"}};
  const auto database = open_sqlite(file(), Access::read_write, newer);
  EXPECT_EQ(database->query("SELECT w FROM t").at(0).integer(0), 7);
  EXPECT_EQ(fault_of([&] { open(); }), base::Fault::unsupported) << "an older program";
}

TEST_F(DatabaseTest, BrokenMigrationLeavesTheOldSchema) {
  open();
  const std::array<Migration, 3> broken{kSchema[0],
                                        Migration{2, "0002", "CREATE TABLE u (a TEXT);"},
                                        Migration{3, "0003", "CREATE TABLE u (a TEXT);"}};
  EXPECT_THROW(open_sqlite(file(), Access::read_write, broken), base::Error);
  EXPECT_NO_THROW(open()) << "still version 1";
}

TEST_F(DatabaseTest, TheProgramsOwnSchemaApplies) {
  const auto database = open_sqlite(folder_ / "own.db", Access::read_write);
  EXPECT_TRUE(database->query("SELECT name FROM models").empty());
  EXPECT_TRUE(database->query("SELECT model FROM model_files").empty());
}

TEST_F(DatabaseTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(file()) << std::string(5000, 'x');
  EXPECT_EQ(fault_of([&] { open(); }), base::Fault::corrupt_file);
}

TEST_F(DatabaseTest, ReadsWithoutWriting) {
  open()->execute("INSERT INTO t VALUES ('x', 1)");
  const auto database = open_sqlite(file(), Access::read_only, kSchema);
  EXPECT_EQ(database->query("SELECT v FROM t").at(0).integer(0), 1);
  EXPECT_EQ(fault_of([&] { database->execute("DELETE FROM t"); }), base::Fault::io);
}

// Its log is still empty when the reader comes, and yet the file will change.
TEST_F(DatabaseTest, ReaderSeesWhatAWriterBesideItWrites) {
  open();
  const auto writer = open();
  const auto reader = open_sqlite(file(), Access::read_only, kSchema);
  EXPECT_TRUE(reader->query("SELECT * FROM t").empty());
  writer->execute("INSERT INTO t VALUES ('x', 1)");
  EXPECT_EQ(reader->query("SELECT * FROM t").size(), 1U);
}

TEST_F(DatabaseTest, PartThatThrowsIsUndoneAlone) {
  const auto database = open();
  EXPECT_EQ(fault_of([&] { database->nested([] {}); }), base::Fault::internal);
  database->transaction([&] {
    database->execute("INSERT INTO t VALUES ('before', 1)");
    EXPECT_THROW(database->nested([&] {
      database->execute("INSERT INTO t VALUES ('part', 1)");
      throw std::runtime_error("stop");
    }),
                 std::runtime_error);
    database->nested([&] { database->execute("INSERT INTO t VALUES ('after', 1)"); });
  });
  const auto rows = database->query("SELECT k FROM t ORDER BY k");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].text(0), "after");
}

TEST_F(DatabaseTest, NoSchemaTakesAFileOfAnyVersion) {
  open()->execute("INSERT INTO t VALUES ('x', 1)");
  const auto database = open_sqlite(file(), Access::read_only, {});
  EXPECT_EQ(database->query("SELECT * FROM t").size(), 1U);
  EXPECT_EQ(fault_of([&] { open_sqlite(file(), Access::read_only); }), base::Fault::unsupported);
}

TEST_F(DatabaseTest, WritersOfSeveralConnectionsWaitForEachOther) {
  constexpr int kWriters = 4;
  constexpr int kEach = 25;
  open()->execute("INSERT INTO t VALUES ('n', 0)");
  std::vector<std::thread> threads;
  for (int i = 0; i < kWriters; ++i)
    threads.emplace_back([&] {
      const auto database = open();
      for (int j = 0; j < kEach; ++j)
        database->transaction([&] {
          const auto n = database->query("SELECT v FROM t WHERE k = 'n'").at(0).integer(0);
          database->execute("UPDATE t SET v = ?1 WHERE k = 'n'", {n + 1});
        });
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(open()->query("SELECT v FROM t WHERE k = 'n'").at(0).integer(0), kWriters * kEach);
}

// A file size limit stands for a full disk: the write fails in the middle of a transaction.
TEST_F(DatabaseTest, FullDiskIsAnErrorAndUndone) {
  const auto database = open();
  database->execute("INSERT INTO t VALUES ('before', 1)");
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{200'000, old.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const auto fault = fault_of([&] {
    database->transaction([&] {
      for (int i = 0; i < 4000; ++i)
        database->execute("INSERT INTO t VALUES (?1, 1)",
                          {std::to_string(i) + std::string(4000, 'x')});
    });
  });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(fault, base::Fault::io);
  EXPECT_EQ(database->query("SELECT * FROM t").size(), 1U);
  database->execute("INSERT INTO t VALUES ('after', 1)");
  EXPECT_EQ(open()->query("SELECT * FROM t").size(), 2U);
}

}  // namespace
}  // namespace malina::store
