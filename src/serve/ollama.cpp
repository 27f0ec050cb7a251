#include "serve/ollama.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <ctime>

#include "base/clock.h"
#include "serve/api_error.h"
#include "serve/generation_fields.h"

namespace malina::serve {

namespace {

// Options of Ollama's Modelfile. What asks for something that this engine has no counterpart of is
// refused unless it is Ollama's default.
constexpr std::array kOptions{
    Field{.name = "temperature", .types = Type::number, .least = 0, .most = 2},
    Field{.name = "top_k", .types = Type::integer, .least = 0, .most = 1000000},
    Field{.name = "top_p", .types = Type::number, .least = 0, .most = 1},
    Field{.name = "min_p", .types = Type::number, .least = 0, .most = 1},
    Field{.name = "repeat_penalty", .types = Type::number, .least = 0.01, .most = 100},
    Field{.name = "frequency_penalty", .types = Type::number, .least = -2, .most = 2},
    Field{.name = "presence_penalty", .types = Type::number, .least = -2, .most = 2},
    Field{.name = "seed",
          .types = Type::integer,
          .least = -9007199254740991.0,
          .most = 9007199254740991.0},
    Field{.name = "num_predict",
          .types = Type::integer,
          .least = -2,
          .most = 1e9,
          .help = "At most so many tokens of answer; -1 and -2: as many as the context holds"},
    Field{.name = "stop",
          .types = Type::text | Type::array,
          .longest = kMostStopLength,
          .item_types = Type::text},
    Field{.name = "num_ctx", .types = Type::integer, .use = Use::inert},
    Field{.name = "num_thread", .types = Type::integer, .use = Use::inert},
    Field{.name = "num_gpu", .types = Type::integer, .use = Use::inert},
    Field{.name = "main_gpu", .types = Type::integer, .use = Use::inert},
    Field{.name = "num_batch", .types = Type::integer, .use = Use::inert},
    Field{.name = "num_keep", .types = Type::integer, .use = Use::inert},
    Field{.name = "numa", .types = Type::boolean, .use = Use::inert},
    Field{.name = "low_vram", .types = Type::boolean, .use = Use::inert},
    Field{.name = "use_mmap", .types = Type::boolean, .use = Use::inert},
    Field{.name = "use_mlock", .types = Type::boolean, .use = Use::inert},
    Field{.name = "repeat_last_n", .use = Use::refused, .neutral = "[64, -1]"},
    Field{.name = "typical_p", .use = Use::refused, .neutral = "[1, 1.0]"},
    Field{.name = "tfs_z", .use = Use::refused, .neutral = "[1, 1.0]"},
    Field{.name = "mirostat", .use = Use::refused, .neutral = "[0]"},
    Field{.name = "mirostat_tau", .types = Type::number, .use = Use::inert},
    Field{.name = "mirostat_eta", .types = Type::number, .use = Use::inert},
    Field{.name = "penalize_newline", .types = Type::boolean, .use = Use::inert},
};

Json options_of(const Json& body) { return body.value("options", Json::object()); }

std::int64_t nanoseconds(double seconds) { return std::llround(seconds * 1e9); }

}  // namespace

std::span<const Field> ollama_options() { return kOptions; }

std::string ollama_model(const Json& body) {
  std::string model =
      body.contains("model") ? body["model"].get<std::string>() : body.value("name", std::string());
  if (body.contains("model") && body.contains("name") && body["model"] != body["name"])
    throw bad_request("'model' and 'name' are the same: give one", "name", "invalid_value");
  if (model.empty())
    throw bad_request("'model' is required", "model", "missing_required_parameter");
  if (model.ends_with(":latest")) model.resize(model.size() - std::string_view(":latest").size());
  return model;
}

std::string ollama_name(const std::string& name) {
  return name.find(':') == std::string::npos ? name + ":latest" : name;
}

std::string ollama_time(std::int64_t microseconds) {
  const std::time_t seconds = microseconds / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     microseconds % 1'000'000);
}

std::string ollama_now() { return ollama_time(base::unix_time_microseconds()); }

Json ollama_details(const platform::ListedModel& model) {
  std::string level = model.encoding;
  for (char& c : level)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return {{"parent_model", model.alias_of}, {"format", "gguf"},     {"family", model.family},
          {"families", {model.family}},     {"parameter_size", ""}, {"quantization_level", level}};
}

platform::SamplingOptions ollama_sampling(const Json& body) {
  Json options = options_of(body);
  // Ollama's own defaults, and llama.cpp's order of the filters.
  const auto otherwise = [&](const char* name, Json value) {
    if (!options.contains(name)) options[name] = std::move(value);
  };
  otherwise("temperature", 0.8);
  otherwise("top_k", 40);
  otherwise("top_p", 0.9);
  if (options.contains("repeat_penalty")) options["repetition_penalty"] = options["repeat_penalty"];
  platform::SamplingOptions sampling = sampling_of(options);
  sampling.llama_cpp_order = true;
  return sampling;
}

std::optional<std::size_t> ollama_max_tokens(const Json& body) {
  const Json options = options_of(body);
  if (!options.contains("num_predict") || options["num_predict"] < 0) return std::nullopt;
  return options["num_predict"].get<std::size_t>();
}

std::vector<std::string> ollama_stops(const Json& body) { return stops_of(options_of(body)); }

std::optional<std::chrono::seconds> keep_alive(const Json& body) {
  const auto found = body.find("keep_alive");
  if (found == body.end()) return std::nullopt;
  if (found->is_number()) {
    const double seconds = found->get<double>();
    return std::chrono::seconds(seconds < 0 ? -1
                                            : static_cast<std::int64_t>(std::min(seconds, 1e9)));
  }
  const auto& text = found->get_ref<const std::string&>();
  const auto wrong = bad_request("'keep_alive' must be a time such as \"5m\", \"1h30m\" or -1",
                                 "keep_alive", "invalid_value");
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  double seconds = 0;
  if (rest.empty()) throw wrong;
  while (!rest.empty()) {
    double number = 0;
    const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (read.ec != std::errc() || !(number >= 0 && number <= 1e9)) throw wrong;
    rest.remove_prefix(static_cast<std::size_t>(read.ptr - rest.data()));
    const auto unit = [&](std::string_view name, double factor) {
      if (!rest.starts_with(name)) return false;
      rest.remove_prefix(name.size());
      seconds += number * factor;
      return true;
    };
    if (unit("ms", 1e-3) || unit("s", 1) || unit("m", 60) || unit("h", 3600)) continue;
    if (!rest.empty()) throw wrong;
    seconds += number;
  }
  if (negative) return std::chrono::seconds(-1);
  return std::chrono::seconds(static_cast<std::int64_t>(std::min(std::ceil(seconds), 1e9)));
}

bool ollama_json(const Json& body) { return body.value("format", std::string()) == "json"; }

void add_summary(Json& json, const platform::GenerationResult& result, double load_seconds,
                 double total_seconds) {
  json["done"] = true;
  json["done_reason"] = result.finish_reason == "length" ? "length" : "stop";
  json["total_duration"] = nanoseconds(total_seconds);
  json["load_duration"] = nanoseconds(load_seconds);
  json["prompt_eval_count"] = result.prompt_tokens;
  json["prompt_eval_duration"] = nanoseconds(result.prompt_seconds);
  json["eval_count"] = result.completion_tokens;
  json["eval_duration"] = nanoseconds(result.completion_seconds);
}

}  // namespace malina::serve
