#include "platform/job_row.h"

#include <optional>

namespace malina::platform {

using Json = nlohmann::ordered_json;

const std::string_view kJobColumns =
    "id, sequence, tenant, created_by, created_at, asked_model, model, model_digest, "
    "training_file, training_digest, validation_file, validation_digest, suffix, result_name, "
    "hyperparameters, metadata, seed, fingerprint, status, validated, started, waits_for_room, "
    "steps, trained_tokens, estimated_finish, finished_at, result_file, error_code, "
    "error_message, error_param";

namespace {

Json json_of(const Hyperparameters& parameters) {
  Json json = Json::object();
  if (parameters.batch_size) json["batch_size"] = *parameters.batch_size;
  if (parameters.learning_rate_multiplier)
    json["learning_rate_multiplier"] = *parameters.learning_rate_multiplier;
  if (parameters.epochs) json["n_epochs"] = *parameters.epochs;
  if (!parameters.technique.empty()) json["technique"] = parameters.technique;
  if (parameters.fast) json["fast"] = true;
  return json;
}

Hyperparameters hyperparameters_of(const Json& json) {
  Hyperparameters result;
  if (json.contains("batch_size")) result.batch_size = json["batch_size"].get<std::int64_t>();
  if (json.contains("learning_rate_multiplier"))
    result.learning_rate_multiplier = json["learning_rate_multiplier"].get<double>();
  if (json.contains("n_epochs")) result.epochs = json["n_epochs"].get<std::int64_t>();
  result.technique = json.value("technique", std::string());
  result.fast = json.value("fast", false);
  return result;
}

std::optional<std::int64_t> optional_integer(const store::Row& row, std::size_t column) {
  return row.is_null(column) ? std::nullopt : std::optional(row.integer(column));
}

}  // namespace

TuningJob job_of(const store::Row& row) {
  TuningJob job;
  job.id = row.text(0);
  job.sequence = row.integer(1);
  job.tenant = row.text(2);
  job.created_by = row.text(3);
  job.created_at = row.integer(4);
  job.asked_model = row.text(5);
  job.model = row.text(6);
  job.model_digest = row.text(7);
  job.training_file = row.text(8);
  job.training_digest = row.text(9);
  job.validation_file = row.text(10);
  job.validation_digest = row.text(11);
  job.suffix = row.text(12);
  job.result_name = row.text(13);
  job.hyperparameters = hyperparameters_of(Json::parse(row.text(14)));
  job.metadata = Json::parse(row.text(15));
  job.seed = row.integer(16);
  job.fingerprint = row.text(17);
  job.status = job_status(row.text(18));
  job.validated = row.integer(19) != 0;
  job.started = row.integer(20) != 0;
  job.waits_for_room = row.integer(21) != 0;
  job.steps = static_cast<std::uint64_t>(row.integer(22));
  job.trained_tokens = static_cast<std::uint64_t>(row.integer(23));
  job.estimated_finish = optional_integer(row, 24);
  job.finished_at = optional_integer(row, 25);
  job.result_file = row.text(26);
  if (job.status == JobStatus::failed) job.error = {row.text(27), row.text(28), row.text(29)};
  return job;
}

std::string stored_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void insert_job(store::Database& database, const TuningJob& job) {
  database.execute(
      "INSERT INTO tuning_jobs (id, sequence, tenant, created_by, created_at, asked_model, "
      "model, model_digest, training_file, training_digest, validation_file, "
      "validation_digest, suffix, result_name, hyperparameters, metadata, seed, fingerprint, "
      "status, validated, started, waits_for_room, steps, trained_tokens, result_file, "
      "error_code, error_message, error_param) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
      "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, 0, 0, 0, 0, 0, '', '', '', '')",
      {job.id, job.sequence, job.tenant, job.created_by, job.created_at, job.asked_model, job.model,
       job.model_digest, job.training_file, job.training_digest, job.validation_file,
       job.validation_digest, job.suffix, job.result_name,
       stored_text(json_of(job.hyperparameters)), stored_text(job.metadata), job.seed,
       job.fingerprint, std::string(name(job.status))});
}

}  // namespace malina::platform
