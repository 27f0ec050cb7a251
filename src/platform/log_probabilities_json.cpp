#include "platform/log_probabilities_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

namespace malina::platform {

using Json = nlohmann::ordered_json;

namespace {

constexpr double kImpossible = -9999.0;  // what OpenAI gives for a probability of zero

Json number(double log_probability) {
  return std::isfinite(log_probability) ? log_probability : kImpossible;
}

// The bytes of a token as ScoredToken spells them.
Json bytes_of(std::string_view text) {
  constexpr std::string_view kEscaped = "bytes:";
  Json bytes = Json::array();
  if (text.starts_with("bytes:\\x")) {
    for (std::string_view rest = text.substr(kEscaped.size()); rest.size() >= 4;
         rest.remove_prefix(4)) {
      unsigned value = 0;
      std::from_chars(rest.data() + 2, rest.data() + 4, value, 16);
      bytes.push_back(value);
    }
    return bytes;
  }
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

Json token_json(const std::string& text, double log_probability) {
  return {{"token", text}, {"logprob", number(log_probability)}, {"bytes", bytes_of(text)}};
}

}  // namespace

Json chat_log_probabilities(const std::vector<ScoredToken>& scores, std::size_t top) {
  Json content = Json::array();
  for (const ScoredToken& score : scores) {
    Json entry = token_json(score.text, score.log_probability.value_or(0));
    Json likeliest = Json::array();
    for (std::size_t i = 0; i < std::min(top, score.top.size()); ++i)
      likeliest.push_back(token_json(score.top[i].first, score.top[i].second));
    entry["top_logprobs"] = std::move(likeliest);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json completion_log_probabilities(const std::vector<ScoredToken>& scores) {
  Json tokens = Json::array();
  Json chosen = Json::array();
  Json top = Json::array();
  Json offsets = Json::array();
  for (const ScoredToken& score : scores) {
    tokens.push_back(score.text);
    offsets.push_back(score.text_offset);
    chosen.push_back(score.log_probability ? number(*score.log_probability) : Json());
    if (!score.log_probability) {
      top.push_back(nullptr);
      continue;
    }
    Json alternatives = Json::object();
    for (const auto& [text, log_probability] : score.top)
      if (!alternatives.contains(text)) alternatives[text] = number(log_probability);
    top.push_back(std::move(alternatives));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(chosen)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace malina::platform
