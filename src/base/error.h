// The one exception of the program. It ends a request, a command or a job and is caught at those
// three edges, nowhere between. Its message is one sentence that names the thing and the cause.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace malina::base {

enum class Fault {
  invalid_argument,  // what the caller gave is wrong
  not_found,         // a file or a name that does not exist
  already_exists,    // a name that is taken
  corrupt_file,      // a file that breaks its own format
  unsupported,       // valid, but not something this program does
  io,                // the system refused to read or write (disk full, permission, ...)
  out_of_memory,     // does not fit in the memory that this machine has
  cancelled,         // stopped on request
  unauthenticated,   // the key is missing, unknown, expired or revoked: always the same words
  denied,            // the key is good and may not do this
  exhausted,         // a quota is used up for now
  overloaded,        // busy, loading or draining: worth trying again in a moment
  internal,          // a defect of this program
};

// Exit codes are an interface, listed in docs/reference/exit-codes.md.
int exit_code(Fault fault);
std::string_view name(Fault fault);

// For programs that ask: what is more exact than the fault, and never needed to understand it.
struct ErrorDetails {
  std::string code = {};                                 // "context_length_exceeded"
  std::string parameter = {};                            // the part of the request that is wrong
  std::optional<std::chrono::seconds> retry_after = {};  // when it may go better
  bool retry_helps = true;  // false: the same request will never go better
  std::string cause = {};   // what the message leaves out, for a log that only the operator reads
};

class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& message, ErrorDetails details = {})
      : std::runtime_error(message), fault_(fault), details_(std::move(details)) {}
  Fault fault() const { return fault_; }
  const ErrorDetails& details() const { return details_; }

 private:
  Fault fault_;
  ErrorDetails details_;
};

// "cannot open /x: No such file or directory", from errno as it stands. ENOENT gives not_found.
Error system_error(const std::string& what);

}  // namespace malina::base
