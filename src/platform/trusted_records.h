// Keys, quotas and audit of one home folder, opened when they are first needed.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "govern/audit_chain.h"
#include "govern/key_store.h"
#include "govern/record_keeper.h"
#include "platform/audit.h"
#include "platform/serving_lock.h"
#include "store/database.h"

namespace malina::platform {

// Safe on many threads. Failures throw base::Error.
class TrustedRecords {
 public:
  explicit TrustedRecords(std::filesystem::path home,
                          const base::Clock& clock = base::system_clock());
  ~TrustedRecords();

  bool exist() const;  // whether there is a database to look into
  // These create the home folder, the database and what belongs to it.
  govern::KeyStore& keys();
  // For a process that serves: audit, quotas, checkpoints. Throws already_exists where another one
  // serves this home: it is held from here on.
  govern::RecordKeeper& keeper();
  const govern::AuditChain& audit_chain() const { return chain_; }
  // These change nothing, and answer where nothing can be written too: a full disk, a folder of
  // another user.
  std::vector<govern::KeyRecord> list_keys();
  std::vector<AuditRecord> audit(std::int64_t after, std::int64_t most);
  std::int64_t audit_length();
  // Of a server's tuning job that is not over, and whose result will be called so: its id.
  std::optional<std::string> open_job_called(std::string_view result_name);
  // After a change by a command: signs it with all before it. A failure is no failure of the
  // change, which is recorded: the next checkpoint signs it too.
  void sign_audit() noexcept;
  // govern/record_keeper.h; works where there is no keeper yet.
  govern::RecordingState recording();

 private:
  store::Database& database();  // of commands and keys; the keeper has its own
  store::Database& readable();

  const std::filesystem::path home_;
  const govern::AuditChain chain_;
  std::mutex opening_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<store::Database> reader_;  // where `database_` cannot be opened
  std::unique_ptr<govern::KeyStore> keys_;
  std::optional<ServingLock> serving_;  // outlives what the keeper still writes
  std::unique_ptr<govern::RecordKeeper> keeper_;
};

}  // namespace malina::platform
