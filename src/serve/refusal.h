// What is said of a request that failed: to its client, and in the log.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/api_error.h"

namespace malina::serve {

// Ollama's routes speak of errors as Ollama does.
enum class ErrorForm { openai, ollama };
ErrorForm error_form(std::string_view path);

// The body of the answer: JSON. What is no UTF-8 in it is replaced.
std::string error_body(const ApiError& error, ErrorForm form);
// The same as the last event of a stream that has begun. Nothing says [DONE] behind it.
std::string error_event(const ApiError& error, ErrorForm form);
// Fields of the answer's header: whether and when it may go better, and what there is instead.
std::vector<std::pair<std::string, std::string>> error_fields(const ApiError& error);

// `cause`: what `error` was made of. What a client sends may be anybody's data, and messages repeat
// it: of what is a client's own fault the log has what our tables call it, and the place down to
// the first name that a client can choose.
std::string log_text(const ApiError& error, const std::exception_ptr& cause);

}  // namespace malina::serve
