// kill -9 at random instants: what was acknowledged is there afterwards, and the chain verifies.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/random.h"
#include "base/temporary_directory.h"
#include "govern/audit_verify.h"
#include "govern/key_store.h"
#include "govern/record_keeper.h"

namespace malina::govern {
namespace {

constexpr int kWriters = 3;

// Records until it is killed. Of each record that is durable its number goes into the pipe: a write
// so small is whole or not there.
[[noreturn]] void record_until_killed(const std::filesystem::path& home, int acknowledged,
                                      std::int64_t first) {
  const AuditChain chain(base::system_clock());
  RecordKeeper keeper(home, store::open_sqlite(home / "malina.db", store::Access::read_write),
                      chain);
  const Principal key{.key_id = "mk_a", .limits = {.tokens_per_minute = 1'000'000'000}};
  std::atomic<std::int64_t> next = first;
  std::vector<std::thread> threads;
  for (int i = 0; i < kWriters; ++i)
    threads.emplace_back([&] {
      for (;;) {
        const std::int64_t number = next++;
        auto admission = keeper.quotas().admit(key, 100);
        keeper.audit()
            .record({.actor = {"mk_a", ""},
                     .action = "chat.completions",
                     .request = std::to_string(number),
                     .outcome = "intent"},
                    [&](store::Database& database) { keeper.quotas().write(database, "mk_a"); })
            .get();
        if (::write(acknowledged, &number, sizeof number) != sizeof number) ::_exit(1);
      }
    });
  for (;;) ::pause();
}

class KillTest : public testing::Test {
 protected:
  // Returns the numbers that were acknowledged before the end.
  std::set<std::int64_t> run_and_kill(std::int64_t first, std::chrono::microseconds after_first) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      record_until_killed(folder_.path(), ends[1], first);
    }
    ::close(ends[1]);
    std::set<std::int64_t> numbers;
    std::int64_t number = 0;
    const auto take = [&] {
      if (::read(ends[0], &number, sizeof number) != sizeof number) return false;
      return numbers.insert(number).second;
    };
    EXPECT_TRUE(take()) << "it never recorded anything";
    std::this_thread::sleep_for(after_first);
    ::kill(child, SIGKILL);
    while (take()) {
    }
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return numbers;
  }

  void check(const std::set<std::int64_t>& acknowledged) {
    const auto database =
        store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
    EXPECT_EQ(database->query("PRAGMA integrity_check").at(0).text(0), "ok");
    std::vector<AuditCheckpoint> kept;
    if (const auto file = folder_.path() / "audit.checkpoints"; std::filesystem::exists(file))
      kept = read_checkpoints(file);
    const AuditReport report = verify_audit(*database, kept, nullptr);
    ASSERT_FALSE(report.fault) << report.fault->reason;
    std::set<std::int64_t> found;
    for (const auto& row : database->query("SELECT record FROM audit")) {
      const std::string& record = row.text(0);
      const std::size_t at = record.find("\"request\":\"") + 11;
      found.insert(std::stoll(record.substr(at)));
    }
    for (const std::int64_t number : acknowledged)
      ASSERT_TRUE(found.contains(number)) << "record " << number << " was acknowledged and is lost";
  }

  base::TemporaryDirectory folder_;
};

// MALINA_KILLS=100 for more of them.
TEST_F(KillTest, NoAcknowledgedRecordIsLost) {
  const char* const wanted = std::getenv("MALINA_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 30;
  base::Random random(11);
  std::set<std::int64_t> acknowledged;
  for (int i = 0; i < kills; ++i) {
    const auto numbers =
        run_and_kill(std::int64_t{i} * 1'000'000, std::chrono::microseconds(random.below(60'000)));
    acknowledged.insert(numbers.begin(), numbers.end());
    if (i % 5 == 4 || i + 1 == kills) check(acknowledged);
    ASSERT_FALSE(HasFatalFailure()) << "after kill " << i;
  }
  EXPECT_GT(acknowledged.size(), static_cast<std::size_t>(kills));
}

}  // namespace
}  // namespace malina::govern
