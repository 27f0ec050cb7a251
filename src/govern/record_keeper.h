// What a serving process writes of its requests: the audit and the quotas through one group commit,
// and the audit's checkpoints, each minute and at the end.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "govern/audit_checkpoint.h"
#include "govern/audit_log.h"
#include "govern/quota.h"
#include "govern/recording.h"
#include "store/writer.h"

namespace malina::govern {

// Safe on many threads; has one of its own, and the writer's.
class RecordKeeper {
 public:
  static constexpr std::chrono::seconds kCheckpointPeriod{60};

  // `database` is a connection that nobody else uses. `chain` outlives this.
  RecordKeeper(std::filesystem::path home, std::unique_ptr<store::Database> database,
               const AuditChain& chain);
  ~RecordKeeper();  // writes what was recorded, then a last checkpoint

  AuditLog& audit() { return audit_; }
  QuotaLedger& quotas() { return quotas_; }
  // Whether something can be recorded now: as the last write told, and where that was long ago, by
  // writing. May wait for the disk.
  RecordingState recording();

 private:
  void run();
  void add_checkpoint();

  const std::filesystem::path checkpoints_;
  const AuditSigner signer_;
  const base::Clock& clock_;
  std::unique_ptr<store::Database> database_;
  QuotaLedger quotas_;
  RecordingWatch watch_;
  store::Writer writer_;
  AuditLog audit_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace malina::govern
