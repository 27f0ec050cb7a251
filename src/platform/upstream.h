// Upstreams: endpoints of OpenAI's API off this machine that a question may be escalated to, by
// names that an administrator allowed. The server knows the names alone; the connector
// (connector.h), a process of its own behind a Unix socket, knows where they are. This is what the
// two say to each other: a line of JSON each way, and the end of the connection. Both are read as
// foreign.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace malina::platform {

// No model's and no alias's name has a slash in it, so that nothing else is called so.
inline constexpr std::string_view kUpstreamPrefix = "upstream/";
// "big" of "upstream/big"; nullopt where it does not begin so.
std::optional<std::string_view> upstream_of(std::string_view target);
// What is wrong with a name, as the end of a sentence; "" for 1 to 64 of a-z, 0-9, '.', '_' and
// '-', beginning with a letter or a digit.
std::string_view upstream_name_fault(std::string_view name);

inline constexpr std::size_t kMostUpstreamLine = std::size_t{4} << 20;  // bytes, either way
inline constexpr std::size_t kMostUpstreamTokens = 4096;                // of an answer

struct UpstreamQuestion {
  std::string upstream = {};  // its name
  std::string message = {};   // what is said to it
  std::size_t most_tokens = 0;
};

// Why there is no answer.
enum class UpstreamFault {
  none,
  unreachable,  // the connector, or the upstream behind it; or one of them is busy or stopping
  timeout,      // its time was up
  refused,      // a status from 400 to 499
  failed,       // another status but 200
  too_large,    // the answer, or what was to be sent
  malformed,    // no answer of OpenAI's API
  no_label,     // it wrote what is no answer to the question
};
std::string_view name(UpstreamFault fault);

struct UpstreamAnswer {
  std::string text = {};
  bool whole = false;  // it ended by itself
  // That it writes exactly these tokens, if its probabilities are right: nullopt where it did not
  // say.
  std::optional<double> probability = {};
  std::int64_t prompt_tokens = 0, completion_tokens = 0;  // as it counts; 0: it did not say
};

struct UpstreamReply {
  UpstreamFault fault = UpstreamFault::none;
  int status = 0;              // of HTTP; 0: none came
  UpstreamAnswer answer = {};  // where there is no fault
};

// With its line end. The readers take one without it, and throw base::Error(corrupt_file,
// unsupported, invalid_argument) for everything that these do not write.
std::string line_of(const UpstreamQuestion& question);
std::string line_of(const UpstreamReply& reply);
UpstreamQuestion read_question_line(std::string_view line);
UpstreamReply read_reply_line(std::string_view line);

// POST /chat/completions of OpenAI's API: the body, without randomness; and what came for it.
// Throws base::Error(corrupt_file, unsupported) for what is no such answer.
std::string chat_request(const UpstreamQuestion& question, const std::string& model,
                         bool log_probabilities);
UpstreamAnswer read_chat_answer(std::string_view body);

}  // namespace malina::platform
