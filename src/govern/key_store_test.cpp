#include "govern/key_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::govern {
namespace {

using namespace std::chrono_literals;

const Actor kTester{"local:tester", ""};

base::Fault fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Fault::internal;
}

// One process's view of a store: its own connection and memory.
struct Process {
  explicit Process(const std::filesystem::path& file, const base::Clock& clock,
                   std::string pepper = std::string(32, 'p'))
      : database(store::open_sqlite(file, store::Access::read_write)),
        audit(clock),
        keys(*database, Pepper(std::move(pepper)), audit) {}

  std::unique_ptr<store::Database> database;
  AuditChain audit;
  KeyStore keys;
};

class KeyStoreTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "malina.db"; }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  Process server_{file(), clock_};
  KeyStore& keys_ = server_.keys;
};

TEST_F(KeyStoreTest, TokenOpensWhatItsKeyAllows) {
  const auto issued = keys_.create({.name = "app",
                                    .tenant = "shop",
                                    .permissions = {Permission::infer, Permission::evaluate},
                                    .models = {"prod*"},
                                    .limits = {.requests_per_minute = 5,
                                               .tokens_per_minute = 6,
                                               .concurrent_streams = 7,
                                               .longest_request = 8s}},
                                   kTester);
  EXPECT_EQ(issued.token.size(), 3 + 16 + 1 + 43U);
  const auto who = keys_.authenticate(issued.token);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->key_id, issued.record.principal.key_id);
  EXPECT_EQ(who->secret_generation, 1);
  EXPECT_EQ(who->name, "app");
  EXPECT_EQ(who->tenant, "shop");
  EXPECT_TRUE(who->may(Permission::evaluate));
  EXPECT_FALSE(who->may(Permission::admin));
  EXPECT_TRUE(who->may_use("prod-2"));
  EXPECT_FALSE(who->may_use("test"));
  EXPECT_EQ(who->limits, (Limits{5, 6, 7, 8s}));
  EXPECT_EQ(Process(file(), clock_).keys.authenticate(issued.token)->tenant, "shop");
}

TEST_F(KeyStoreTest, WhatIsNoKeyOpensNothing) {
  const auto token = keys_.create({.name = "app"}, kTester).token;
  const auto other = keys_.create({.name = "other"}, kTester).token;
  EXPECT_FALSE(keys_.authenticate(""));
  EXPECT_FALSE(keys_.authenticate("."));
  EXPECT_FALSE(keys_.authenticate(std::string(100'000, 'x')));
  EXPECT_FALSE(keys_.authenticate(token.substr(0, token.size() - 1)));
  EXPECT_FALSE(keys_.authenticate(token + "x"));
  EXPECT_FALSE(keys_.authenticate(" " + token));
  EXPECT_FALSE(keys_.authenticate(token.substr(0, token.find('.'))));
  EXPECT_FALSE(keys_.authenticate("mk_aaaaaaaaaaaaaaaa" + token.substr(token.find('.'))));
  // The secret of one key under the id of another.
  EXPECT_FALSE(
      keys_.authenticate(token.substr(0, token.find('.')) + other.substr(token.find('.'))));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string wrong = token;
    wrong[i] = wrong[i] == 'b' ? 'c' : 'b';
    EXPECT_FALSE(keys_.authenticate(wrong)) << i;
  }
  EXPECT_FALSE(keys_.authenticate(std::string(kNoToken.id) + "." + std::string(kNoToken.secret)));
}

TEST_F(KeyStoreTest, DatabaseHoldsNoSecret) {
  const auto token = keys_.create({.name = "app"}, kTester).token;
  server_.database->query("PRAGMA wal_checkpoint(TRUNCATE)");
  for (const char* end : {"", "-wal"}) {
    std::ifstream stream(file().string() + end, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
    EXPECT_EQ(bytes.find(token.substr(token.find('.') + 1)), std::string::npos) << end;
  }
}

// Hashes moved between records open nothing: the id is part of what is hashed.
TEST_F(KeyStoreTest, HashUnderAnotherIdOpensNothing) {
  const auto small = keys_.create({.name = "small"}, kTester);
  const auto great = keys_.create({.name = "great", .permissions = PermissionSet::all()}, kTester);
  server_.database->execute(
      "UPDATE key_secrets SET hash = (SELECT hash FROM key_secrets WHERE key_id = ?1) WHERE key_id "
      "= ?2",
      {small.record.principal.key_id, great.record.principal.key_id});
  server_.database->execute("UPDATE revisions SET number = number + 1");
  clock_.advance(1s);
  EXPECT_FALSE(keys_.authenticate(great.record.principal.key_id +
                                  small.token.substr(small.token.find('.'))));
  EXPECT_TRUE(keys_.authenticate(small.token));
}

TEST_F(KeyStoreTest, RevocationHereHoldsAtOnceAndForGood) {
  const auto issued = keys_.create({.name = "app"}, kTester);
  const std::string& id = issued.record.principal.key_id;
  EXPECT_TRUE(keys_.live(id, 1));
  EXPECT_EQ(keys_.revoke(id, kTester).state, KeyState::revoked);
  EXPECT_FALSE(keys_.authenticate(issued.token));
  EXPECT_FALSE(keys_.live(id, 1));
  EXPECT_FALSE(keys_.by_id(id));
  clock_.set_wall(clock_.wall() - 24h * 3650);
  EXPECT_FALSE(keys_.authenticate(issued.token));
  EXPECT_FALSE(Process(file(), clock_).keys.authenticate(issued.token));
  EXPECT_NO_THROW(keys_.revoke(id, kTester)) << "again changes nothing";
  EXPECT_EQ(fault_of([&] { keys_.revoke("mk_aaaaaaaaaaaaaaaa", kTester); }),
            base::Fault::not_found);
}

TEST_F(KeyStoreTest, ChangeByAnotherProcessHoldsWithinASecond) {
  Process command(file(), clock_);
  const auto issued = command.keys.create({.name = "app"}, kTester);
  clock_.advance(KeyStore::kRefresh);
  ASSERT_TRUE(keys_.authenticate(issued.token));
  command.keys.revoke(issued.record.principal.key_id, kTester);
  EXPECT_TRUE(keys_.authenticate(issued.token)) << "no query for each request";
  clock_.advance(KeyStore::kRefresh);
  EXPECT_FALSE(keys_.live(issued.record.principal.key_id, 1));
  EXPECT_FALSE(keys_.authenticate(issued.token));
  EXPECT_LE(KeyStore::kRefresh, 500ms);
}

TEST_F(KeyStoreTest, KeyEndsAndStaysEnded) {
  const auto issued = keys_.create({.name = "app", .lifetime = 60s}, kTester);
  const std::string& id = issued.record.principal.key_id;
  clock_.advance(59s);
  EXPECT_TRUE(keys_.authenticate(issued.token));
  clock_.advance(1s);
  EXPECT_FALSE(keys_.authenticate(issued.token));
  EXPECT_FALSE(keys_.live(id, 1));
  EXPECT_EQ(keys_.find(id).state, KeyState::expired);
  clock_.set_wall(clock_.wall() - 1h);
  EXPECT_FALSE(keys_.authenticate(issued.token)) << "the calendar was set back";
  clock_.set_wall(clock_.wall() + 24h * 3650);
  EXPECT_FALSE(keys_.authenticate(issued.token));
  EXPECT_EQ(fault_of([&] { keys_.rotate(id, 1h, kTester); }), base::Fault::invalid_argument);
}

TEST_F(KeyStoreTest, RotationKeepsTheOldSecretForTheOverlap) {
  const auto first = keys_.create({.name = "app"}, kTester);
  const std::string& id = first.record.principal.key_id;
  const auto second = keys_.rotate(first.token, 1h, kTester);  // the id, or the key with it
  EXPECT_NE(first.token, second.token);
  EXPECT_EQ(second.record.secrets.size(), 2U);
  EXPECT_EQ(keys_.authenticate(first.token)->secret_generation, 1);
  EXPECT_EQ(keys_.authenticate(second.token)->secret_generation, 2);
  clock_.advance(1h);
  EXPECT_FALSE(keys_.authenticate(first.token));
  EXPECT_FALSE(keys_.live(id, 1));
  EXPECT_TRUE(keys_.authenticate(second.token));
  EXPECT_TRUE(keys_.live(id, 2));
}

TEST_F(KeyStoreTest, TwoSecretsAreGoodAtMost) {
  const auto first = keys_.create({.name = "app"}, kTester);
  const std::string& id = first.record.principal.key_id;
  const auto second = keys_.rotate(id, 24h, kTester);
  const auto third = keys_.rotate(id, 24h, kTester);
  EXPECT_FALSE(keys_.authenticate(first.token));
  EXPECT_TRUE(keys_.authenticate(second.token));
  EXPECT_TRUE(keys_.authenticate(third.token));
  const auto fourth = keys_.rotate(id, 0s, kTester);
  EXPECT_FALSE(keys_.authenticate(second.token));
  EXPECT_FALSE(keys_.authenticate(third.token)) << "no overlap: it ended at once";
  EXPECT_TRUE(keys_.authenticate(fourth.token));
  keys_.revoke(id, kTester);
  EXPECT_FALSE(keys_.authenticate(fourth.token));
  EXPECT_EQ(fault_of([&] { keys_.rotate(id, 0s, kTester); }), base::Fault::invalid_argument);
}

TEST_F(KeyStoreTest, FieldsThatAreWrongAreRefused) {
  const auto refused = [&](NewKey key) {
    return fault_of([&] { keys_.create(key, kTester); }) == base::Fault::invalid_argument;
  };
  EXPECT_TRUE(refused({.name = ""}));
  EXPECT_TRUE(refused({.name = "a\nb"}));
  EXPECT_TRUE(refused({.name = std::string(129, 'a')}));
  EXPECT_TRUE(refused({.name = "a", .tenant = ""}));
  EXPECT_TRUE(refused({.name = "a", .tenant = "Shop"}));
  EXPECT_TRUE(refused({.name = "a", .tenant = "a/b"}));
  EXPECT_TRUE(refused({.name = "a", .permissions = {}}));
  EXPECT_TRUE(refused({.name = "a", .models = {"a,b"}}));
  EXPECT_TRUE(refused({.name = "a", .models = {""}}));
  EXPECT_TRUE(refused({.name = "a", .limits = {.requests_per_minute = -1}}));
  EXPECT_TRUE(refused({.name = "a", .limits = {.longest_request = 0s}}));
  EXPECT_TRUE(refused({.name = "a", .lifetime = 0s})) << "a key without an end does not exist";
  EXPECT_TRUE(refused({.name = "a", .lifetime = kLongestKeyLifetime + 1s}));
  EXPECT_TRUE(keys_.list().empty());
  EXPECT_EQ(AuditChain::head(*server_.database).sequence, 0);
}

TEST_F(KeyStoreTest, AdminKeyIsMadeOnceAndForOwnerAlone) {
  const auto issued = keys_.ensure_admin_key(folder_.path(), kTester);
  ASSERT_TRUE(issued);
  EXPECT_EQ(read_admin_key(folder_.path()), issued->token);
  struct stat status{};
  ASSERT_EQ(::stat((folder_.path() / "admin.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(keys_.authenticate(issued->token)->permissions, PermissionSet::all_but_upstream());
  EXPECT_FALSE(keys_.ensure_admin_key(folder_.path(), kTester));
  keys_.revoke(issued->record.principal.key_id, kTester);
  EXPECT_FALSE(keys_.ensure_admin_key(folder_.path(), kTester)) << "a restart undoes no revocation";
}

TEST_F(KeyStoreTest, AdminKeyThatCannotBeKeptIsNotMade) {
  EXPECT_EQ(fault_of([&] { keys_.ensure_admin_key(folder_.path() / "missing", kTester); }),
            base::Fault::not_found);
  EXPECT_TRUE(keys_.list().empty());
}

TEST_F(KeyStoreTest, AnotherPepperIsNoticed) {
  EXPECT_NO_THROW(Process(file(), clock_, std::string(32, 'q'))) << "no key needs it yet";
  keys_.create({.name = "app"}, kTester);
  EXPECT_EQ(fault_of([&] { Process(file(), clock_, std::string(32, 'q')); }),
            base::Fault::corrupt_file);
}

TEST_F(KeyStoreTest, ChangesAreAudited) {
  const auto issued = keys_.create({.name = "app"}, kTester);
  keys_.rotate(issued.token, 1h, kTester);
  keys_.revoke(issued.token, kTester);
  keys_.revoke(issued.token, kTester);
  std::vector<std::string> records;
  for (const auto& row : server_.database->query("SELECT record FROM audit ORDER BY sequence"))
    records.push_back(row.text(0));
  ASSERT_EQ(records.size(), 3U);
  const char* const actions[] = {"key.create", "key.rotate", "key.revoke"};
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(records[i].find("\"action\":\"" + std::string(actions[i]) + "\",\"subject\":\"" +
                              issued.record.principal.key_id + "\""),
              std::string::npos)
        << records[i];
    EXPECT_NE(records[i].find("\"principal\":\"local:tester\""), std::string::npos);
    EXPECT_EQ(records[i].find(issued.token.substr(20)), std::string::npos) << "no secret";
  }
}

TEST_F(KeyStoreTest, ManyThreadsAskWhileKeysChange) {
  const auto kept = keys_.create({.name = "kept"}, kTester);
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!stop) {
        EXPECT_TRUE(keys_.authenticate(kept.token));
        EXPECT_TRUE(keys_.live(kept.record.principal.key_id, 1));
      }
    });
  for (int i = 0; i < 20; ++i) {
    const auto issued = keys_.create({.name = "passing"}, kTester);
    clock_.advance(500ms);
    EXPECT_TRUE(keys_.authenticate(issued.token));
    keys_.revoke(issued.token, kTester);
    EXPECT_FALSE(keys_.authenticate(issued.token));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace malina::govern
