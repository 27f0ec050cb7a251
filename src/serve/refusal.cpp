#include "serve/refusal.h"

#include <fmt/format.h>

namespace malina::serve {

ErrorForm error_form(std::string_view path) {
  return path.starts_with("/api/") ? ErrorForm::ollama : ErrorForm::openai;
}

std::string error_body(const ApiError& error, ErrorForm form) {
  using Json = nlohmann::ordered_json;
  const Json body = form == ErrorForm::ollama ? Json{{"error", error.message}} : error.body();
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string error_event(const ApiError& error, ErrorForm form) {
  const std::string line = error_body(error, form) + "\n";
  return form == ErrorForm::ollama ? line : "data: " + line + "\n";
}

std::vector<std::pair<std::string, std::string>> error_fields(const ApiError& error) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (error.retry_after)
    fields.emplace_back("retry-after", fmt::format("{}", error.retry_after->count()));
  if (!error.retry_helps) fields.emplace_back("x-should-retry", "false");
  if (!error.allow.empty()) fields.emplace_back("allow", error.allow);
  if (error.status == 401) fields.emplace_back("www-authenticate", "Bearer");
  return fields;
}

std::string log_text(const ApiError& error, const std::exception_ptr& cause) {
  if (error.status < 500) {
    const std::string& word = error.code.empty() ? error.type : error.code;
    const std::string place = error.param.substr(0, error.param.find_first_of(".["));
    return place.empty() || error.clients_word ? word : fmt::format("{} in '{}'", word, place);
  }
  if (error.status == 500) {
    try {
      std::rethrow_exception(cause);
    } catch (const std::exception& defect) {
      return defect.what();
    } catch (...) {
    }
  }
  return error.cause.empty() ? error.message : error.message + ": " + error.cause;
}

}  // namespace malina::serve
