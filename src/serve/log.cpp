#include "serve/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace malina::serve {

namespace {

using Json = nlohmann::ordered_json;

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "error";
    case LogLevel::warning:
      return "warning";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
  }
  return "";
}

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     millis);
}

std::string quoted(std::string_view text) {  // escapes control characters and bad bytes
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

void Log::request(const RequestLine& line) {
  const LogLevel level = line.status >= 500 ? LogLevel::error : LogLevel::info;
  if (level > level_) return;
  if (format_ == Format::json) {
    Json json{{"time", now()},         {"level", name(level)},    {"event", "request"},
              {"request_id", line.id}, {"method", line.method},   {"path", line.path},
              {"status", line.status}, {"seconds", line.seconds}, {"key", line.key},
              {"tenant", line.tenant}};
    if (!line.failure.empty()) json["error"] = line.failure;
    return write(json.dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  std::string text = fmt::format("{} {:<7} {} {} {} {:.3f}s {}", now(), name(level), line.status,
                                 quoted(line.method), quoted(line.path), line.seconds, line.id);
  if (!line.key.empty()) text += fmt::format(" key={}", line.key);
  if (!line.failure.empty()) text += " " + quoted(line.failure);
  write(std::move(text));
}

void Log::event(LogLevel level, std::string_view message) {
  if (level > level_) return;
  if (format_ == Format::json) {
    const Json json{{"time", now()}, {"level", name(level)}, {"event", message}};
    return write(json.dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  const std::string escaped = quoted(message);
  write(fmt::format("{} {:<7} {}", now(), name(level),
                    std::string_view(escaped).substr(1, escaped.size() - 2)));
}

// One call for a line, so that lines of several threads do not mix. A full disk or a closed pipe is
// no reason to stop serving.
void Log::write(std::string line) {
  line += '\n';
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace malina::serve
