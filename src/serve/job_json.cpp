#include "serve/job_json.h"

namespace malina::serve {

namespace {

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

template <class Value>
Json or_auto(const std::optional<Value>& value) {
  return value ? Json(*value) : Json("auto");
}

Json hyperparameters_json(const platform::Hyperparameters& parameters) {
  Json json = Json::object();
  json["batch_size"] = or_auto(parameters.batch_size);
  json["learning_rate_multiplier"] = or_auto(parameters.learning_rate_multiplier);
  json["n_epochs"] = or_auto(parameters.epochs);
  // Ours: only where they were asked for, since clients know the others alone.
  if (!parameters.technique.empty()) json["technique"] = parameters.technique;
  if (parameters.fast) json["precision"] = "fast";
  return json;
}

}  // namespace

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json file_json(const platform::DataFile& file) {
  Json json = Json::object();
  json["id"] = file.id;
  json["object"] = "file";
  json["bytes"] = file.size_bytes;
  json["created_at"] = file.created_at;
  json["expires_at"] = nullptr;
  json["filename"] = file.name;
  json["purpose"] = file.purpose;
  json["status"] = "processed";  // what there is to see of it is seen by the job that reads it
  json["status_details"] = nullptr;
  json["digest"] = "sha256:" + file.digest;
  return json;
}

Json job_json(const platform::TuningJob& job) {
  const bool done = job.status == platform::JobStatus::succeeded;
  const Json hyperparameters = hyperparameters_json(job.hyperparameters);
  Json json = Json::object();
  json["id"] = job.id;
  json["object"] = "fine_tuning.job";
  json["created_at"] = job.created_at;
  json["error"] = nullptr;
  if (job.error) {
    json["error"] = Json::object();
    json["error"]["code"] = job.error->code;
    json["error"]["message"] = job.error->message;
    json["error"]["param"] = or_null(job.error->parameter);
  }
  json["fine_tuned_model"] = done ? Json(job.result_name) : Json();
  json["finished_at"] = or_null(job.finished_at);
  json["hyperparameters"] = hyperparameters;
  json["model"] = job.asked_model;
  json["organization_id"] = job.tenant;
  json["result_files"] = Json::array();
  if (!job.result_file.empty()) json["result_files"].push_back(job.result_file);
  json["seed"] = job.seed;
  json["status"] = platform::name(job.status);
  json["trained_tokens"] = done ? Json(job.trained_tokens) : Json();
  json["training_file"] = job.training_file;
  json["validation_file"] = or_null(job.validation_file);
  json["estimated_finish"] = or_null(job.estimated_finish);
  json["integrations"] = Json::array();
  json["metadata"] = job.metadata;
  json["method"]["type"] = "supervised";
  json["method"]["supervised"]["hyperparameters"] = hyperparameters;
  json["user_provided_suffix"] = or_null(job.suffix);
  return json;
}

Json event_json(const platform::JobEvent& event) {
  Json json = Json::object();
  json["id"] = event.id;
  json["object"] = "fine_tuning.job.event";
  json["created_at"] = event.created_at;
  json["level"] = event.level;
  json["message"] = event.message;
  json["data"] = event.data;
  json["type"] = event.type;
  return json;
}

Json checkpoint_json(const platform::JobCheckpoint& checkpoint, const std::string& job_id) {
  Json json = Json::object();
  json["id"] = checkpoint.id;
  json["object"] = "fine_tuning.job.checkpoint";
  json["created_at"] = checkpoint.created_at;
  json["fine_tuned_model_checkpoint"] = checkpoint.model;
  json["fine_tuning_job_id"] = job_id;
  json["metrics"] = checkpoint.metrics;
  json["step_number"] = checkpoint.step;
  return json;
}

platform::PageRequest page_of(const Json& query, std::size_t limit) {
  platform::PageRequest page;
  page.after = query.value("after", std::string());
  page.limit = query.value("limit", limit);
  page.ascending = query.value("order", std::string("desc")) == "asc";
  return page;
}

}  // namespace malina::serve
