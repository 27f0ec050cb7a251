// What is kept of tuning jobs: what was asked for, how far they are. The database alone decides a
// job's status; whoever works on a job asks whether it may still.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "govern/audit_chain.h"
#include "platform/caller.h"
#include "platform/data_files.h"
#include "platform/job_history.h"
#include "platform/repetition.h"
#include "platform/tuning_job.h"
#include "store/database.h"

namespace malina::platform {

struct JobProgress {
  std::uint64_t steps = 0, trained_tokens = 0;
  std::optional<std::int64_t> estimated_finish;
};

// Of a job that is not over and whose result will bear this name: its id.
std::optional<std::string> open_job_called(store::Database& database, std::string_view result_name);

// Safe on many threads. Failures are base::Error: not_found (another tenant's too), already_exists
// (a step that the job's status does not allow), io.
class JobRecords {
 public:
  // Both outlive this.
  JobRecords(store::Database& database, const govern::AuditChain& chain)
      : database_(database), chain_(chain), history_(database, chain.clock()) {}

  JobHistory& history() { return history_; }  // what they have told

  // `check` is asked within the transaction and may throw. `job` comes with all that was asked for;
  // where the tenant has one that is the same and is not over, that one is returned: clients that
  // saw no answer ask again. `repetition`: likewise, also of a job that is over.
  TuningJob create(TuningJob job, const Actor& by, std::string_view request_id,
                   const std::function<void()>& check, const Repetition& repetition = {});
  TuningJob get(std::string_view tenant, std::string_view id);
  std::optional<TuningJob> find(std::string_view id);  // of any tenant
  // `metadata`: only jobs that have these pairs.
  Page<TuningJob> list(std::string_view tenant, const nlohmann::ordered_json& metadata,
                       const PageRequest& page);

  // What a caller asks for.
  TuningJob cancel(const Actor& by, std::string_view id, std::string_view request_id);
  TuningJob pause(const Actor& by, std::string_view id, std::string_view request_id);
  TuningJob resume(const Actor& by, std::string_view id, std::string_view request_id);

  // For who does the work. The oldest of this status; those that wait for room with `waiting`.
  std::optional<TuningJob> oldest(JobStatus status);
  // Each of these is one transaction and returns false, with nothing changed, where the job's
  // status does not allow it any more.
  bool validated(std::string_view id, std::span<const JobEvent> events);
  bool start(std::string_view id);
  bool progress(std::string_view id, const JobProgress& progress, std::span<const JobEvent> events);
  // Paused by a full disk; or by the end of the server, which queues it again.
  bool wait_for_room(std::string_view id);
  bool requeue(std::string_view id, std::string_view why);
  bool succeed(std::string_view id, std::string_view result_file, std::span<const JobEvent> events,
               const std::optional<JobCheckpoint>& checkpoint);
  bool fail(std::string_view id, const JobError& error);
  // Those that a full disk paused go on. How many there were.
  std::size_t room_again();
  bool any_waits_for_room();
  // After a start: what ran when the last process ended is queued again.
  void recover();

  // Within a transaction: throws already_exists where a job that is not over reads this file.
  void check_unused(std::string_view file_id);
  // Within a transaction: how many jobs of the tenant are not over.
  std::size_t open_jobs(std::string_view tenant);

 private:
  struct Change;
  bool change(std::string_view id, const Change& change);
  TuningJob ask(const Actor& by, std::string_view id, std::string_view request_id,
                std::string_view action, const std::function<Change(const TuningJob&)>& decide);
  std::int64_t now() const;

  store::Database& database_;
  const govern::AuditChain& chain_;
  JobHistory history_;
};

}  // namespace malina::platform
