// A failure as a client sees it: {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace malina::serve {

struct ApiError {
  unsigned status = 500;
  std::string type = "server_error";
  std::string code = {};      // null in the body where empty
  std::string param = {};     // likewise
  bool clients_word = false;  // `param` is a name that the client chose, for no log
  std::string message = {};
  std::optional<std::chrono::seconds> retry_after = {};
  bool retry_helps = true;  // false: x-should-retry: false, for statuses that clients try again
  bool close = false;       // the connection
  std::string cause = {};   // for the log alone
  std::string allow = {};   // the methods there are, of a 405

  nlohmann::ordered_json body() const;
};

// `param`: begins with a name of ours.
ApiError bad_request(std::string message, std::string param = {}, std::string code = {});
// `name`: of the client's own; shown to it shortened.
ApiError bad_name(std::string message, std::string_view name, std::string code);

// nginx's: nobody is there to be told.
inline constexpr unsigned kClientClosed = 499;

// What is told to who comes, or still waits, while the server stops: a 503.
ApiError draining();

// What the audit calls it where an answer that was begun ends so: "timeout", "revoked", ...
std::string_view outcome_word(const ApiError& error);

// What became of a request. 5xx of defects carry the request's id alone, and what() goes to the
// log.
ApiError api_error(const std::exception_ptr& error, const std::string& request_id);

}  // namespace malina::serve
