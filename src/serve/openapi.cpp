#include "serve/openapi.h"

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
      "Usage": {"type": "object",
        "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {
          "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
          "total_tokens": {"type": "integer"}}}}})");
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
  if (!endpoint.open_to_all) add("404", "There is no such model");
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

Json operation(const Endpoint& endpoint, const std::vector<std::string>& models) {
  Json result{{"summary", endpoint.summary}, {"tags", {endpoint.tag}}};
  if (!endpoint.details.empty()) result["description"] = endpoint.details;
  if (endpoint.open_to_all) result["security"] = Json::array();
  const std::size_t open = endpoint.path.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = endpoint.path.find('}');
    result["parameters"] = Json::array({{{"name", endpoint.path.substr(open + 1, close - open - 1)},
                                         {"in", "path"},
                                         {"required", true},
                                         {"schema", {{"type", "string"}, {"minLength", 1}}}}});
    name_models(result["parameters"][0]["schema"], models);
  }
  if (endpoint.has_body) {
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
    std::string method(name(endpoint->method));
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
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
