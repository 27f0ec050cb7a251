// Log-probabilities in the shapes of OpenAI's API, for commands and routes alike.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "platform/generation.h"

namespace malina::platform {

// A probability of zero, whose logarithm JSON cannot say, is -9999, as OpenAI gives it.

// {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}
nlohmann::ordered_json chat_log_probabilities(const std::vector<ScoredToken>& scores,
                                              std::size_t top);
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
nlohmann::ordered_json completion_log_probabilities(const std::vector<ScoredToken>& scores);

}  // namespace malina::platform
