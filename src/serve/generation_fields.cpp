#include "serve/generation_fields.h"

#include <charconv>

#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::size_t kMostStops = 4;

float number(const Json& body, const char* name, float otherwise) {
  const auto found = body.find(name);
  return found == body.end() ? otherwise : found->get<float>();
}

std::vector<std::pair<std::int32_t, float>> biases(const Json& body) {
  std::vector<std::pair<std::int32_t, float>> result;
  const auto found = body.find("logit_bias");
  if (found == body.end()) return result;
  for (const auto& [key, value] : found->items()) {
    std::int32_t id = 0;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || id < 0)
      throw bad_request("'logit_bias' has a key that is not a token id", "logit_bias",
                        "invalid_value");
    if (!value.is_number() || value.get<double>() < -100 || value.get<double>() > 100)
      throw bad_request("'logit_bias' must give each token a number between -100 and 100",
                        "logit_bias", "invalid_value");
    result.emplace_back(id, value.get<float>());
  }
  return result;
}

}  // namespace

platform::SamplingOptions sampling_of(const Json& body) {
  platform::SamplingOptions options;
  options.temperature = number(body, "temperature", options.temperature);
  options.top_p = number(body, "top_p", options.top_p);
  options.min_p = number(body, "min_p", options.min_p);
  options.repetition_penalty = number(body, "repetition_penalty", options.repetition_penalty);
  options.frequency_penalty = number(body, "frequency_penalty", options.frequency_penalty);
  options.presence_penalty = number(body, "presence_penalty", options.presence_penalty);
  if (body.contains("top_k")) options.top_k = body["top_k"].get<std::uint32_t>();
  if (body.contains("seed"))
    options.seed = static_cast<std::uint64_t>(body["seed"].get<std::int64_t>());
  options.logit_bias = biases(body);
  return options;
}

std::vector<std::string> stops_of(const Json& body) {
  std::vector<std::string> stops;
  const auto found = body.find("stop");
  if (found == body.end()) return stops;
  if (found->is_string())
    stops.push_back(found->get<std::string>());
  else
    stops = found->get<std::vector<std::string>>();
  if (stops.size() > kMostStops)
    throw bad_request("'stop' has more than four texts", "stop", "invalid_value");
  for (const std::string& stop : stops) {
    if (stop.empty()) throw bad_request("'stop' has an empty text", "stop", "invalid_value");
    if (stop.size() > kMostStopLength)
      throw bad_request("'stop' has a text of more than 1000 bytes", "stop", "invalid_value");
  }
  return stops;
}

}  // namespace malina::serve
