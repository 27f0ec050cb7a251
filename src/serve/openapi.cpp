#include "serve/openapi.h"

#include "base/ascii.h"
#include "platform/repetition.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

Json error_schema(bool ollama) {
  if (ollama)
    return {{"type", "object"},
            {"required", {"error"}},
            {"properties", {{"error", {{"type", "string"}}}}}};
  return {{"$ref", "#/components/schemas/Error"}};
}

Json components() {
  return Json::parse(R"({
    "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    "schemas": {
      "Error": {"type": "object", "required": ["error"], "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"], "properties": {
          "message": {"type": "string"}, "type": {"type": "string"},
          "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}},
      "Model": {"type": "object", "required": ["id", "object", "created", "owned_by"], "properties": {
        "id": {"type": "string"}, "object": {"const": "model"}, "created": {"type": "integer"},
        "owned_by": {"type": "string"}}},
      "File": {"type": "object", "required": ["id", "object", "bytes", "created_at", "filename",
        "purpose", "status"], "properties": {
          "id": {"type": "string"}, "object": {"const": "file"}, "bytes": {"type": "integer"},
          "created_at": {"type": "integer"}, "expires_at": {"type": ["integer", "null"]},
          "filename": {"type": "string"}, "purpose": {"type": "string"},
          "status": {"enum": ["uploaded", "processed", "error"]},
          "status_details": {"type": ["string", "null"]}, "digest": {"type": "string"}}},
      "FineTuningJob": {"type": "object", "required": ["id", "object", "created_at", "error",
        "fine_tuned_model", "finished_at", "hyperparameters", "model", "organization_id",
        "result_files", "seed", "status", "trained_tokens", "training_file", "validation_file"],
        "properties": {
          "id": {"type": "string"}, "object": {"const": "fine_tuning.job"},
          "created_at": {"type": "integer"}, "finished_at": {"type": ["integer", "null"]},
          "error": {"type": ["object", "null"], "required": ["code", "message", "param"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"},
              "param": {"type": ["string", "null"]}}},
          "fine_tuned_model": {"type": ["string", "null"]}, "hyperparameters": {"type": "object"},
          "model": {"type": "string"}, "organization_id": {"type": "string"},
          "result_files": {"type": "array", "items": {"type": "string"}},
          "seed": {"type": "integer"},
          "status": {"enum": ["validating_files", "queued", "running", "paused", "succeeded",
            "failed", "cancelled"]},
          "trained_tokens": {"type": ["integer", "null"]}, "training_file": {"type": "string"},
          "validation_file": {"type": ["string", "null"]},
          "estimated_finish": {"type": ["integer", "null"]}, "metadata": {"type": "object"},
          "method": {"type": "object"}}},
      "FineTuningJobEvent": {"type": "object", "required": ["id", "object", "created_at", "level",
        "message"], "properties": {
          "id": {"type": "string"}, "object": {"const": "fine_tuning.job.event"},
          "created_at": {"type": "integer"}, "level": {"enum": ["info", "warn", "error"]},
          "message": {"type": "string"}, "type": {"enum": ["message", "metrics"]},
          "data": {"type": "object"}}},
      "FineTuningJobCheckpoint": {"type": "object", "required": ["id", "object", "created_at",
        "fine_tuned_model_checkpoint", "fine_tuning_job_id", "metrics", "step_number"],
        "properties": {
          "id": {"type": "string"}, "object": {"const": "fine_tuning.job.checkpoint"},
          "created_at": {"type": "integer"}, "fine_tuned_model_checkpoint": {"type": "string"},
          "fine_tuning_job_id": {"type": "string"}, "metrics": {"type": "object"},
          "step_number": {"type": "integer"}}},
      "Usage": {"type": "object",
        "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {
          "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
          "total_tokens": {"type": "integer"}}}}})");
}

// Takes an Idempotency-Key: something new that a customer's data are or become.
bool creates(const Endpoint& endpoint) {
  return endpoint.needs == Permission::train && endpoint.method == Method::post &&
         endpoint.path.find('{') == std::string_view::npos;
}

// What a route may answer beside its 200.
Json failures(const Endpoint& endpoint) {
  const bool ollama = endpoint.path.starts_with("/api/");
  Json responses = Json::object();
  const auto add = [&](const char* status, const char* text) {
    Json& response = responses[status];
    response["description"] = text;
    response["content"]["application/json"]["schema"] = error_schema(ollama);
  };
  add("400", "The request is wrong");
  if (!endpoint.open_to_all) add("401", "The key is missing, unknown, expired or revoked");
  add("403", "The key may not do this, or the Host is not allowed");
  if (!endpoint.open_to_all) add("404", "There is no such model, file or job");
  if (endpoint.needs == Permission::train && endpoint.method != Method::get)
    add("409", "The state of the file or the job does not allow it");
  if (creates(endpoint)) add("422", "The Idempotency-Key came with another request before");
  if (endpoint.has_body) {
    add("408", "The body or the answer took too long");
    add("413", "The body is too large");
  }
  if (endpoint.works && !endpoint.open_to_all) add("429", "A quota of the key is used up");
  add("431", "The header is too large");
  add("500", "A defect; the log knows the request's id");
  add("503", "Busy, loading, draining or unable to record: try again");
  return responses;
}

void name_models(Json& schema, const std::vector<std::string>& models) {
  if (!models.empty()) schema["enum"] = models;
}

Json parameter_json(std::string_view name, const char* place, bool required, Json schema) {
  Json json = Json::object();
  json["name"] = name;
  json["in"] = place;
  json["required"] = required;
  json["schema"] = std::move(schema);
  return json;
}

// Of the path and the query.
Json parameters(const Endpoint& endpoint, const std::vector<std::string>& models) {
  Json list = Json::array();
  const std::size_t open = endpoint.path.find('{');
  if (open != std::string_view::npos) {
    const std::string_view name =
        endpoint.path.substr(open + 1, endpoint.path.find('}') - open - 1);
    Json text{{"type", "string"}, {"minLength", 1}};
    if (name == "model") name_models(text, models);
    list.push_back(parameter_json(name, "path", true, std::move(text)));
  }
  if (creates(endpoint))
    list.push_back(parameter_json("Idempotency-Key", "header", false,
                                  {{"type", "string"},
                                   {"minLength", 1},
                                   {"maxLength", platform::kLongestRepetitionName},
                                   {"pattern", "^[!-~]+$"}}));
  Json fields = schema(endpoint.query);
  for (auto& [name, value] : fields["properties"].items()) {
    const bool object = value.contains("type") && value["type"] == Json({"object", "null"});
    if (value.contains("type")) value["type"] = value["type"][0];  // a query has no null
    if (value.contains("enum")) value["enum"].erase(value["enum"].size() - 1);
    if (object) value["additionalProperties"] = Json{{"type", "string"}};
    list.push_back(parameter_json(name, "query", false, std::move(value)));
    if (!object) continue;
    list.back()["style"] = "deepObject";
    list.back()["explode"] = true;
  }
  return list;
}

// A file among fields of text.
Json form_schema(const Endpoint& endpoint) {
  Json body = schema(endpoint.body);
  Json& file = body["properties"]["file"];
  file = Json{{"type", "string"}, {"format", "binary"}, {"description", file["description"]}};
  return body;
}

Json operation(const Endpoint& endpoint, const std::vector<std::string>& models) {
  Json result{{"summary", endpoint.summary}, {"tags", {endpoint.tag}}};
  if (!endpoint.details.empty()) result["description"] = endpoint.details;
  if (endpoint.open_to_all) result["security"] = Json::array();
  Json listed = parameters(endpoint, models);
  if (!listed.empty()) result["parameters"] = std::move(listed);
  if (endpoint.upload) {
    result["requestBody"]["required"] = true;
    result["requestBody"]["content"]["multipart/form-data"]["schema"] = form_schema(endpoint);
  } else if (endpoint.has_body) {
    Json body = schema(endpoint.body);
    for (const char* name : {"model", "name"})
      if (body["properties"].contains(name)) name_models(body["properties"][name], models);
    result["requestBody"]["required"] = true;
    result["requestBody"]["content"]["application/json"]["schema"] = std::move(body);
  }
  Json success{{"description", "Done"}};
  success["content"][std::string(endpoint.answer_type)]["schema"] =
      Json::parse(endpoint.answer_schema);
  if (!endpoint.stream_type.empty())
    success["content"][std::string(endpoint.stream_type)]["schema"] = {{"type", "string"}};
  result["responses"] = {{"200", std::move(success)}};
  result["responses"].update(failures(endpoint));
  return result;
}

}  // namespace

Json openapi_document(const std::vector<std::string>& models) {
  Json paths = Json::object();
  for (const Endpoint* endpoint : endpoints()) {
    const std::string method = base::ascii_lower(name(endpoint->method));
    paths[std::string(endpoint->path)][method] = operation(*endpoint, models);
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "malina"},
            {"version", MALINA_VERSION},
            {"description", "Small language models on this machine"}}},
          {"security", Json::array({{{"key", Json::array()}}})},
          {"paths", std::move(paths)},
          {"components", components()}};
}

}  // namespace malina::serve
