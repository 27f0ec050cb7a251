// One line on standard error for each request and event: who and how long, never what was said.
#pragma once

#include <string>
#include <string_view>

namespace malina::serve {

struct RequestLine {
  std::string_view id, method, path, key, tenant;
  unsigned status = 0;
  double seconds = 0;
  std::string_view failure;  // the message of an error
};

enum class LogLevel { error, warning, info, debug };

// Any thread. Text of foreign origin is escaped.
class Log {
 public:
  enum class Format { text, json };
  Log(Format format, LogLevel level) : format_(format), level_(level) {}

  void request(const RequestLine& line);  // info; a 5xx: error
  void info(std::string_view message) { event(LogLevel::info, message); }
  void warning(std::string_view message) { event(LogLevel::warning, message); }
  void error(std::string_view message) { event(LogLevel::error, message); }

 private:
  void event(LogLevel level, std::string_view message);
  void write(std::string line);

  const Format format_;
  const LogLevel level_;
};

}  // namespace malina::serve
