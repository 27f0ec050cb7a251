// A tuning job: what was asked for, and the steps of its life.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

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
  std::string technique = {};  // as malina tune --method has it; "": auto
  bool fast = false;           // in 8 bits
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

}  // namespace malina::platform
