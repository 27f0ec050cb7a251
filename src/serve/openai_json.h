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

// "stop", "length"; what was cancelled ends as "stop".
std::string_view finish_reason(const platform::GenerationResult& result);

// "data: {...}\n\n"
std::string event(const Json& json);

}  // namespace malina::serve
