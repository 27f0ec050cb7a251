// Files and tuning jobs as callers of the server see them: OpenAI's fine-tuning, whose jobs are
// what `malina tune` does. Everything belongs to the caller's tenant; for others it does not exist.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "platform/caller.h"
#include "platform/data_files.h"
#include "platform/job_records.h"
#include "platform/job_runner.h"
#include "store/database.h"

namespace malina::platform {

class Platform;
class TuningHold;

struct JobRequest {
  std::string model, training_file;
  std::string validation_file = {}, suffix = {};  // "": none
  std::optional<std::int64_t> seed = {};
  Hyperparameters hyperparameters = {};
  nlohmann::ordered_json metadata = nlohmann::ordered_json::object();
};

struct TuningJobsOptions {
  unsigned threads = 0;            // of a job; 0: half the cores, rounded up
  std::uint64_t tenant_files = 0;  // bytes of a tenant's files together
  std::size_t tenant_jobs = 0;     // of a tenant, that are not over; 0: any number
  SharedMemory memory = {};        // with the models
};

// Safe on many threads; has threads of its own, which work on jobs. Failures are base::Error:
// not_found, invalid_argument, already_exists (a job's status does not allow it; a name that is
// taken), exhausted, io. `request_id`: of the request that asks, for the audit.
class TuningJobs {
 public:
  // The platform outlives it; its records are open, so no other process serves this home. Goes on
  // with the jobs that the last process left.
  TuningJobs(Platform& platform, const TuningJobsOptions& options);
  ~TuningJobs();  // pauses what runs, with a snapshot

  // Files: what is uploaded is written in pieces, then committed.
  DataFiles::Upload begin_upload(std::string_view name) const { return files_.begin(name); }
  DataFile commit(DataFiles::Upload& upload, const Caller& caller, std::string_view purpose,
                  std::string_view request_id, std::string_view repetition = {});
  DataFile file(const Caller& caller, std::string_view id);
  Page<DataFile> files(const Caller& caller, std::string_view purpose, const PageRequest& page);
  void remove_file(const Caller& caller, std::string_view id, std::string_view request_id);
  base::File open(const DataFile& file) const { return base::File::open(files_.path(file)); }

  TuningJob create(const Caller& caller, const JobRequest& request, std::string_view request_id,
                   const Repetition& repetition = {});
  TuningJob job(const Caller& caller, std::string_view id);
  Page<TuningJob> jobs(const Caller& caller, const nlohmann::ordered_json& metadata,
                       const PageRequest& page);
  Page<JobEvent> events(const Caller& caller, std::string_view id, const PageRequest& page);
  Page<JobCheckpoint> checkpoints(const Caller& caller, std::string_view id,
                                  const PageRequest& page);
  TuningJob cancel(const Caller& caller, std::string_view id, std::string_view request_id);
  TuningJob pause(const Caller& caller, std::string_view id, std::string_view request_id);
  TuningJob resume(const Caller& caller, std::string_view id, std::string_view request_id);

 private:
  DataFile data_of(const Caller& caller, const std::string& id, const char* parameter);
  void check_room(const Caller& caller);
  void take_name(const std::string& name, std::shared_ptr<TuningHold>& hold);

  Platform& platform_;
  const TuningJobsOptions options_;
  const govern::AuditChain chain_;
  std::unique_ptr<store::Database> database_;
  DataFiles files_;
  JobRecords records_;
  JobRunner runner_;  // last: it uses the others
};

}  // namespace malina::platform
