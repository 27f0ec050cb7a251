// What run and complete print for programs. The keys are listed in docs/reference/json.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/console.h"
#include "platform/generation.h"

namespace malina::app {

Json completion_json(std::string_view model, const platform::GenerationResult& result);
Json chat_json(std::string_view model, const platform::GenerationResult& result);

// "prompt 37 tokens, 812.4 tokens/s; answer 12 tokens, 120.3 tokens/s\n"
std::string statistics_line(const platform::GenerationResult& result);

// "1 2 3" or "1,2,3". Throws base::Error(invalid_argument) naming what is not a token id.
std::vector<std::int32_t> parse_token_ids(std::string_view text);

}  // namespace malina::app
