#include "serve/openai_json.h"

namespace malina::serve {

Json usage_json(const std::vector<std::unique_ptr<platform::Answer>>& answers, std::size_t each) {
  std::size_t prompt = 0;
  std::size_t cached = 0;
  std::size_t completion = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const platform::GenerationResult& result = answers[i]->result();
    completion += result.completion_tokens;
    if (i % each != 0) continue;
    prompt += result.prompt_tokens;
    cached += result.cached_tokens;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

std::string_view finish_reason(const platform::GenerationResult& result) {
  return result.finish_reason == "length" ? "length" : "stop";
}

std::string event(const Json& json) {
  return "data: " + json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

}  // namespace malina::serve
