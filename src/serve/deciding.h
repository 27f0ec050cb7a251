// What the routes of decisions have in common.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "platform/decision.h"
#include "serve/answering.h"
#include "serve/field.h"

namespace malina::serve {

// OpenAI's input as one text: a text itself; of messages and calls the text of an only user
// message, otherwise a line "role: text" for each. Throws base::Error(invalid_argument) with the
// path.
std::string decision_input(const Json& input);

struct Decided {
  std::vector<platform::Decision> decisions;  // in the order of the questions
  std::size_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;
};

// decide: asks the model; what it abstains from and has an escalate_to is asked of that alias,
// or upstream (escalation.h), which the caller must be allowed to use, and recorded as a request of
// its own. A target that is unknown, or not this caller's, throws before anything is computed.
// decide_tuned: a tuned classifier's answer to its own question, likewise; `target` may be empty,
// and is of no tagger, whose types nobody else knows.
asio::awaitable<Decided> decide_tuned(Exchange& exchange, platform::Service& service,
                                      platform::TunedRecord record, std::string text,
                                      std::string target);
asio::awaitable<Decided> decide(Exchange& exchange, platform::Service& service, std::string model,
                                std::vector<platform::QuestionPointer> questions, std::string text);

}  // namespace malina::serve
