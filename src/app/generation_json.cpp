#include "app/generation_json.h"

#include <charconv>

#include "base/clock.h"
#include "base/error.h"
#include "platform/log_probabilities_json.h"

namespace malina::app {
namespace {

Json usage(const platform::GenerationResult& result) {
  return {{"prompt_tokens", result.prompt_tokens},
          {"completion_tokens", result.completion_tokens},
          {"total_tokens", result.prompt_tokens + result.completion_tokens}};
}

Json timings(const platform::GenerationResult& result) {
  return {{"prompt_seconds", result.prompt_seconds},
          {"completion_seconds", result.completion_seconds}};
}

double rate(std::size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

Json completion_json(std::string_view model, const platform::GenerationResult& result) {
  Json choice{{"index", 0},
              {"text", result.text},
              {"finish_reason", result.finish_reason},
              {"token_ids", result.token_ids},
              {"logprobs", nullptr}};
  if (!result.scores.empty())
    choice["logprobs"] = platform::completion_log_probabilities(result.scores);
  return {{"object", "text_completion"},      {"created", base::unix_time()}, {"model", model},
          {"choices", Json::array({choice})}, {"usage", usage(result)},       {"seed", result.seed},
          {"timings", timings(result)}};
}

Json chat_json(std::string_view model, const platform::GenerationResult& result) {
  const Json choice{{"index", 0},
                    {"message", {{"role", "assistant"}, {"content", result.text}}},
                    {"finish_reason", result.finish_reason}};
  return {{"object", "chat.completion"},      {"created", base::unix_time()}, {"model", model},
          {"choices", Json::array({choice})}, {"usage", usage(result)},       {"seed", result.seed},
          {"timings", timings(result)}};
}

std::string statistics_line(const platform::GenerationResult& result) {
  return fmt::format("prompt {} tokens, {:.1f} tokens/s; answer {} tokens, {:.1f} tokens/s\n",
                     result.prompt_tokens, rate(result.prompt_tokens, result.prompt_seconds),
                     result.completion_tokens,
                     rate(result.completion_tokens, result.completion_seconds));
}

std::vector<std::int32_t> parse_token_ids(std::string_view text) {
  constexpr std::string_view kBetween = " \t\r\n,";
  std::vector<std::int32_t> ids;
  while (true) {
    const std::size_t start = text.find_first_not_of(kBetween);
    if (start == std::string_view::npos) return ids;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    std::int32_t id = 0;
    const auto result = std::from_chars(word.data(), word.data() + word.size(), id);
    if (result.ec != std::errc() || result.ptr != word.data() + word.size())
      throw base::Error(base::Fault::invalid_argument,
                        fmt::format("'{}' is not a token id", word.substr(0, 40)));
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

}  // namespace malina::app
