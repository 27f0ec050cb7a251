// The chain, its checkpoints and what verification finds.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "govern/audit_verify.h"
#include "govern/record_keeper.h"

namespace malina::govern {
namespace {

using namespace std::chrono_literals;
using Kind = AuditFault::Kind;

AuditEntry entry(std::int64_t number) {
  return {.actor = {"mk_aaaaaaaaaaaaaaaa", "shop"},
          .action = "chat.completions",
          .model = "prod",
          .digest = std::string(64, 'd'),
          .request = "req-" + std::to_string(number),
          .outcome = number % 2 == 0 ? "done" : "intent",
          .status = 200,
          .prompt_tokens = number,
          .completion_tokens = 2 * number};
}

class AuditTest : public testing::Test {
 protected:
  void append(int count) {
    database_->transaction([&] {
      for (int i = 0; i < count; ++i) chain_.append(*database_, entry(i));
    });
  }
  void checkpoint() {
    database_->transaction([&] { add_checkpoint(*database_, signer_, clock_, file()); });
  }
  std::filesystem::path file() const { return folder_.path() / "audit.checkpoints"; }
  std::filesystem::path database_file() const { return folder_.path() / "malina.db"; }
  AuditReport verify(bool with_file = true) {
    const auto kept = with_file && std::filesystem::exists(file()) ? read_checkpoints(file())
                                                                   : std::vector<AuditCheckpoint>();
    return verify_audit(*database_, kept, &signer_.public_key());
  }
  void expect_fault(Kind kind, std::int64_t sequence) {
    const AuditReport report = verify();
    ASSERT_TRUE(report.fault) << "not found";
    EXPECT_EQ(name(report.fault->kind), name(kind)) << report.fault->reason;
    EXPECT_EQ(report.fault->sequence, sequence) << report.fault->reason;
  }
  std::string text(std::int64_t sequence, const char* column) {
    return database_
        ->query("SELECT " + std::string(column) + " FROM audit WHERE sequence = ?1", {sequence})
        .at(0)
        .text(0);
  }
  void set(std::int64_t sequence, const std::string& record, const std::string& hash) {
    database_->execute("UPDATE audit SET record = ?2, hash = ?3 WHERE sequence = ?1",
                       {sequence, record, hash});
  }
  // What someone with the database alone can do best: all hashes anew, from `first` on.
  void chain_anew(std::int64_t first) {
    base::Digest previous;
    for (const auto& row :
         database_->query("SELECT sequence, record FROM audit ORDER BY sequence")) {
      const std::int64_t sequence = row.integer(0);
      std::string record = row.text(1);
      if (sequence >= first) {
        const auto end = record.find("\"wall_us\"");
        record = record_beginning(sequence, previous) + record.substr(end);
        set(sequence, record, record_hash(previous, record).hex());
      }
      previous = record_hash(previous, record);
    }
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  std::unique_ptr<store::Database> database_ =
      store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
  AuditChain chain_{clock_};
  AuditSigner signer_ = AuditSigner::load(folder_.path());
};

TEST_F(AuditTest, RecordIsCanonicalAndHoldsWhatWasDone) {
  append(1);
  const std::string record = text(1, "record");
  const auto json = nlohmann::ordered_json::parse(record);
  EXPECT_EQ(json.dump(), record) << "no spaces, members in order";
  EXPECT_EQ(json["sequence"], 1);
  EXPECT_EQ(json["previous"], std::string(64, '0'));
  EXPECT_EQ(json["principal"], "mk_aaaaaaaaaaaaaaaa");
  EXPECT_EQ(json["outcome"], "done");
  EXPECT_EQ(json["boot"].get<std::string>().size(), 36U);
  EXPECT_EQ(json.size(), 16U);
  // By hand: SHA-256 of 32 zero bytes and the text.
  base::Sha256 hash;
  hash.update(std::string(32, '\0'));
  hash.update(record);
  EXPECT_EQ(hash.finish().hex(), text(1, "hash"));
}

TEST_F(AuditTest, ForeignTextIsCutAndEscaped) {
  database_->transaction([&] {
    chain_.append(*database_,
                  {.actor = {"a\"\n\xFF", ""}, .action = "x", .model = std::string(100'000, 'm')});
  });
  const std::string record = text(1, "record");
  EXPECT_LT(record.size(), 1000U);
  for (const char c : record) EXPECT_TRUE(c >= ' ' && c < 0x7F);
  EXPECT_FALSE(verify().fault);
}

TEST_F(AuditTest, WholeChainVerifies) {
  EXPECT_FALSE(verify().fault) << "an empty one too";
  append(10'000);
  checkpoint();
  append(5);
  const AuditReport report = verify();
  EXPECT_FALSE(report.fault);
  EXPECT_EQ(report.records, 10'005);
  EXPECT_EQ(report.signed_records, 10'000);
  EXPECT_EQ(report.checkpoints, 2U) << "in the database and in the file";
  EXPECT_EQ(report.head.hash.hex(), text(10'005, "hash"));
}

TEST_F(AuditTest, SeveralProcessesAddToOneChain) {
  const auto other = store::open_sqlite(database_file(), store::Access::read_write);
  for (int i = 0; i < 20; ++i) {
    append(2);
    other->transaction([&] { chain_.append(*other, entry(i)); });
  }
  EXPECT_EQ(verify().records, 60);
  EXPECT_FALSE(verify().fault);
}

TEST_F(AuditTest, EditIsFound) {
  append(20);
  checkpoint();
  for (const char* what : {"prod", "shop", "\"status\":200", "\"outcome\":\"done\""}) {
    const std::string record = text(13, "record"), hash = text(13, "hash");
    std::string edited = record;
    edited[edited.find(what) + 1] ^= 1;
    set(13, edited, hash);
    expect_fault(Kind::edited, 13);
    set(13, record, hash);
  }
  EXPECT_FALSE(verify().fault);
  const std::string hash = text(13, "hash");
  set(13, "", hash);
  expect_fault(Kind::edited, 13);
}

TEST_F(AuditTest, EditWithItsOwnHashAnewIsFound) {
  append(20);
  std::string record = text(13, "record");
  record[record.find("prod")] = 'q';
  const auto previous = base::Digest::parse(text(12, "hash"));
  set(13, record, record_hash(*previous, record).hex());
  expect_fault(Kind::replaced, 13);
}

TEST_F(AuditTest, EditWithTheWholeChainAnewIsFoundByWhatWasSigned) {
  append(10);
  checkpoint();
  append(10);
  checkpoint();
  std::string record = text(13, "record");
  record[record.find("prod")] = 'q';
  set(13, record, text(13, "hash"));
  chain_anew(13);
  expect_fault(Kind::replaced, 11);
  EXPECT_NE(verify().fault->reason.find("records 11 to 20"), std::string::npos);
  database_->execute("DELETE FROM audit_checkpoints");
  expect_fault(Kind::replaced, 11);  // by the file
}

TEST_F(AuditTest, DropIsFound) {
  append(20);
  checkpoint();
  database_->execute("DELETE FROM audit WHERE sequence = 13");
  expect_fault(Kind::dropped, 13);
  database_->execute("DELETE FROM audit WHERE sequence < 5");
  expect_fault(Kind::dropped, 1);
}

TEST_F(AuditTest, DropWithNumbersAndHashesAnewIsFound) {
  append(20);
  checkpoint();
  database_->execute("DELETE FROM audit WHERE sequence = 13");
  database_->execute("UPDATE audit SET sequence = sequence - 1 WHERE sequence > 13");
  expect_fault(Kind::swapped, 13);
  chain_anew(13);
  expect_fault(Kind::truncated, 20);
}

TEST_F(AuditTest, SwapIsFound) {
  append(20);
  checkpoint();
  const std::string record = text(7, "record"), hash = text(7, "hash");
  set(7, text(13, "record"), text(13, "hash"));
  set(13, record, hash);
  expect_fault(Kind::swapped, 7);
}

TEST_F(AuditTest, TruncationIsFound) {
  append(20);
  checkpoint();
  append(3);
  database_->execute("DELETE FROM audit WHERE sequence > 20");
  EXPECT_FALSE(verify().fault) << "what was not signed cannot be missed";
  database_->execute("DELETE FROM audit WHERE sequence > 19");
  expect_fault(Kind::truncated, 20);
  database_->execute("DELETE FROM audit_checkpoints");
  expect_fault(Kind::truncated, 20);  // by the file
  database_->execute("DELETE FROM audit");
  expect_fault(Kind::truncated, 1);
}

TEST_F(AuditTest, TruncationThatIsWrittenOnIsFound) {
  append(20);
  checkpoint();
  database_->execute("DELETE FROM audit WHERE sequence > 15");
  append(30);
  expect_fault(Kind::replaced, 1);
}

TEST_F(AuditTest, RowsOfOtherTypesAreFound) {
  append(5);
  database_->execute("UPDATE audit SET record = x'7b00ff', hash = 2.5 WHERE sequence = 3");
  expect_fault(Kind::edited, 3);
  database_->execute("UPDATE audit SET sequence = 'text' WHERE sequence = 2");
  expect_fault(Kind::dropped, 2);
  database_->execute("DELETE FROM audit WHERE sequence > 1 AND sequence < 10");
  expect_fault(Kind::edited, 0);
  database_->execute("INSERT INTO audit VALUES (-4, 'x', 'y')");
  expect_fault(Kind::edited, -4);
}

TEST_F(AuditTest, ForgedCheckpointIsFound) {
  append(5);
  checkpoint();
  append(5);
  const AuditSigner forger{{1, 2, 3}};
  database_->transaction([&] { add_checkpoint(*database_, forger, clock_, file()); });
  expect_fault(Kind::signature, 10);
  EXPECT_EQ(verify_audit(*database_, {}, nullptr).fault->kind, Kind::signature)
      << "two keys, whichever is the right one";
  auto forged = signer_.sign({10, base::Digest()}, 7);
  forged.signature[5] ^= 1;
  EXPECT_EQ(verify_audit(*database_, std::span(&forged, 1), &signer_.public_key()).fault->kind,
            Kind::signature);
}

TEST_F(AuditTest, CheckpointLineIsReadBackExactly) {
  append(3);
  checkpoint();
  checkpoint();  // nothing new to sign
  const auto kept = read_checkpoints(file());
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(kept[0].signature_fits());
  EXPECT_EQ(kept[0].head.sequence, 3);
  EXPECT_EQ(parse_checkpoint(kept[0].line())->line(), kept[0].line());
  const std::string line = kept[0].line();
  for (std::size_t i = 0; i < line.size(); ++i) {
    std::string broken = line;
    broken[i] ^= 1;
    const auto parsed = parse_checkpoint(broken);
    EXPECT_FALSE(parsed && parsed->signature_fits() && parsed->key == signer_.public_key()) << i;
    EXPECT_FALSE(parse_checkpoint(line.substr(0, i))) << i;
  }
}

TEST_F(AuditTest, LineThatACrashCutOffIsReplaced) {
  append(3);
  checkpoint();
  std::ofstream(file(), std::ios::app) << "{\"sequence\":4,\"ha";
  EXPECT_EQ(read_checkpoints(file()).size(), 1U);
  append(3);
  checkpoint();
  EXPECT_EQ(read_checkpoints(file()).size(), 2U);
  std::ofstream(file(), std::ios::app) << "no checkpoint\n";
  EXPECT_THROW(read_checkpoints(file()), base::Error);
}

TEST_F(AuditTest, SigningKeyIsPrivateAndKept) {
  struct stat status{};
  ASSERT_EQ(::stat((folder_.path() / "audit.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(AuditSigner::load(folder_.path()).public_key(), signer_.public_key());
  std::filesystem::remove(folder_.path() / "audit.key");
  EXPECT_THROW(AuditSigner::load(folder_.path()), base::Error) << "not silently another one";
}

// Random damage of any kind is found: what was acknowledged and signed cannot change unseen.
TEST_F(AuditTest, RandomTamperingIsAlwaysFound) {
  append(200);
  checkpoint();
  base::Random random(5);
  for (int round = 0; round < 300; ++round) {
    const auto sequence = static_cast<std::int64_t>(1 + random.below(200));
    const auto rows = database_->query("SELECT sequence, hash, record FROM audit");
    switch (random.below(4)) {
      case 0: {
        std::string record = text(sequence, "record");
        record[random.below(record.size())] ^= static_cast<char>(1 + random.below(127));
        set(sequence, record, text(sequence, "hash"));
        break;
      }
      case 1:
        database_->execute("DELETE FROM audit WHERE sequence = ?1", {sequence});
        break;
      case 2: {
        const std::int64_t other = sequence % 200 + 1;
        const std::string record = text(sequence, "record"), hash = text(sequence, "hash");
        set(sequence, text(other, "record"), text(other, "hash"));
        set(other, record, hash);
        break;
      }
      default:
        database_->execute("DELETE FROM audit WHERE sequence >= ?1", {sequence});
    }
    ASSERT_TRUE(verify().fault) << "round " << round << ", record " << sequence;
    database_->transaction([&] {
      database_->execute("DELETE FROM audit");
      for (const auto& row : rows)
        database_->execute("INSERT INTO audit VALUES (?1, ?2, ?3)",
                           {row.integer(0), row.text(1), row.text(2)});
    });
    ASSERT_FALSE(verify().fault);
  }
}

TEST_F(AuditTest, KeeperRecordsSignsAndEnds) {
  {
    RecordKeeper keeper(folder_.path(),
                        store::open_sqlite(database_file(), store::Access::read_write), chain_);
    for (int i = 0; i < 50; ++i) keeper.audit().record(entry(i)).get();
    EXPECT_EQ(verify().records, 50);
    keeper.audit().record(entry(50), [](std::exception_ptr) {});
  }
  const AuditReport report = verify();
  EXPECT_FALSE(report.fault);
  EXPECT_EQ(report.records, 51);
  EXPECT_EQ(report.signed_records, 51) << "at its end";
}

TEST_F(AuditTest, WhatElseIsWrittenSharesTheRecordsFate) {
  RecordKeeper keeper(folder_.path(),
                      store::open_sqlite(database_file(), store::Access::read_write), chain_);
  auto failing = keeper.audit().record(entry(1), [](store::Database& database) {
    database.execute("INSERT INTO peppers VALUES ('x')");
    throw base::Error(base::Fault::io, "stop");
  });
  EXPECT_THROW(failing.get(), base::Error);
  EXPECT_EQ(verify().records, 0);
  EXPECT_TRUE(database_->query("SELECT * FROM peppers").empty());
  keeper.audit().record(entry(2)).get();
  EXPECT_EQ(verify().records, 1);
}

// Not a test of anything: MALINA_AUDIT_RECORDS=1000000 prints how fast an audit is verified.
TEST_F(AuditTest, VerifyingSpeedIsPrintedOnRequest) {
  const char* const records = std::getenv("MALINA_AUDIT_RECORDS");
  const int count = records != nullptr ? std::atoi(records) : 1000;
  append(count);
  const auto before = std::chrono::steady_clock::now();
  const AuditReport report = verify();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(report.records, count);
  if (records != nullptr)
    std::cout << "verified " << count << " records, " << count / elapsed.count()
              << " a second; written " << std::filesystem::file_size(database_file()) << " bytes\n";
}

}  // namespace
}  // namespace malina::govern
