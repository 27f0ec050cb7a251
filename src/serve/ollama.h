// What Ollama's routes have in common.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "platform/generation.h"
#include "serve/answering.h"
#include "serve/field.h"

namespace malina::serve {

// "name:latest" is name.
std::string ollama_model(const Json& body);
// The inverse: every name has a tag there.
std::string ollama_name(const std::string& name);
// "2026-01-31T12:00:00.123456Z"
std::string ollama_time(std::int64_t microseconds);
std::string ollama_now();

// "details" of a model: format, family, quantization_level.
Json ollama_details(const platform::ListedModel& model);

std::span<const Field> ollama_options();
// Of "options": temperature, top_k, num_predict and so on, with Ollama's defaults.
platform::SamplingOptions ollama_sampling(const Json& body);
std::optional<std::size_t> ollama_max_tokens(const Json& body);
std::vector<std::string> ollama_stops(const Json& body);
// "format": "" or "json"; a schema is refused.
inline constexpr std::array<std::string_view, 2> kOllamaFormats{"", "json"};
bool ollama_json(const Json& body);

// "5m", 300, "0", -1: how long the model stays. nullopt where it is not given. Throws ApiError 400.
std::optional<std::chrono::seconds> keep_alive(const Json& body);

// The members of a last message: done_reason, durations in nanoseconds, counts.
void add_summary(Json& json, const platform::GenerationResult& result, double load_seconds,
                 double total_seconds);

}  // namespace malina::serve
