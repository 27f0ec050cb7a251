// What is kept of tuning jobs: what was asked for, how far they are, what they told. The database
// alone decides a job's status; whoever works on a job asks whether it may still.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "govern/audit_chain.h"
#include "platform/caller.h"
#include "platform/data_files.h"
#include "platform/repetition.h"
#include "store/database.h"

namespace malina::platform {

// validating_files -> queued -> running -> succeeded | failed; each of the first three may be
// paused and cancelled, a paused one resumed. A running one is queued again where the server stops.
enum class JobStatus { validating_files, queued, running, paused, succeeded, failed, cancelled };
std::string_view name(JobStatus status);
JobStatus job_status(std::string_view name);  // throws internal for what is none
bool is_over(JobStatus status);
// Whether that is one step of a job's life.
bool may_become(JobStatus from, JobStatus to);

// What the caller left to us has no value: OpenAI's "auto".
struct Hyperparameters {
  std::optional<std::int64_t> batch_size;
  std::optional<double> learning_rate_multiplier;
  std::optional<std::int64_t> epochs;
};

// `parameter` names the field that is wrong, where one is.
struct JobError {
  std::string code, message, parameter;
};

struct TuningJob {
  std::string id;  // "ftjob-..."
  std::int64_t sequence = 0;
  std::string tenant, created_by;
  std::int64_t created_at = 0;      // seconds since 1970-01-01 UTC, as all times here
  std::string asked_model;          // a name or an alias
  std::string model, model_digest;  // what that stood for; hexadecimal
  std::string training_file, training_digest;
  std::string validation_file, validation_digest;  // "" where there is none
  std::string suffix;                              // "" where none was asked for
  std::string result_name;                         // MODEL:SUFFIX, whatever becomes of it
  Hyperparameters hyperparameters;
  nlohmann::ordered_json metadata = nlohmann::ordered_json::object();  // texts by name
  std::int64_t seed = 0;
  std::string fingerprint;  // the same for a job that is the same
  JobStatus status = JobStatus::validating_files;
  bool validated = false;       // the data has passed the gate
  bool started = false;         // has begun to train once: what bears its name is its own
  bool waits_for_room = false;  // paused by a full disk, goes on by itself
  std::uint64_t steps = 0, trained_tokens = 0;  // of training
  std::optional<std::int64_t> estimated_finish, finished_at;
  std::string result_file;        // an id; "" until there is one
  std::optional<JobError> error;  // of a failed one
};

struct JobEvent {
  std::string id;  // "ftevent-..."
  std::int64_t created_at = 0;
  std::string level = "info";    // "warn", "error"
  std::string type = "message";  // "metrics"
  std::string message;
  nlohmann::ordered_json data = nlohmann::ordered_json::object();
};

struct JobCheckpoint {
  std::string id;  // "ftckpt-..."
  std::int64_t created_at = 0;
  std::string model;  // the name that answers
  std::uint64_t step = 0;
  nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
};

struct JobProgress {
  std::uint64_t steps = 0, trained_tokens = 0;
  std::optional<std::int64_t> estimated_finish;
};

// Safe on many threads. Failures are base::Error: not_found (another tenant's too), already_exists
// (a step that the job's status does not allow), io.
class JobRecords {
 public:
  // Both outlive this.
  JobRecords(store::Database& database, const govern::AuditChain& chain)
      : database_(database), chain_(chain) {}

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
  // Newest first. Throws invalid_argument where `after` is none of the job's.
  Page<JobEvent> events(const TuningJob& job, const PageRequest& page);
  Page<JobCheckpoint> checkpoints(const TuningJob& job, const PageRequest& page);
  std::vector<JobEvent> metrics(std::string_view id);  // of type metrics, oldest first

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
  // Within a transaction: whether a job that is not over will bear this name.
  bool name_is_taken(std::string_view result_name);

 private:
  struct Change;
  bool change(std::string_view id, const Change& change);
  TuningJob ask(const Actor& by, std::string_view id, std::string_view request_id,
                std::string_view action, const std::function<Change(const TuningJob&)>& decide);
  void add_events(std::string_view id, std::span<const JobEvent> events);
  std::int64_t now() const;

  store::Database& database_;
  const govern::AuditChain& chain_;
};

}  // namespace malina::platform
