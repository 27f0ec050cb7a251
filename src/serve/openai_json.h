// Answers in the shapes of OpenAI's API.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "platform/answer.h"
#include "platform/generation.h"
#include "serve/field.h"

namespace malina::serve {

// Of the answers to prompts that have `each` answers one after another: a prompt counts once.
Json usage_json(const std::vector<std::unique_ptr<platform::Answer>>& answers, std::size_t each);

// {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}
Json chat_log_probabilities(const std::vector<platform::ScoredToken>& scores, std::size_t top);
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
Json completion_log_probabilities(const std::vector<platform::ScoredToken>& scores);

// "stop", "length"; what was cancelled ends as "stop".
std::string_view finish_reason(const platform::GenerationResult& result);

// "data: {...}\n\n"
std::string event(const Json& json);

}  // namespace malina::serve
