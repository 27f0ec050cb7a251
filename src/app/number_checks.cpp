#include "app/number_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/quantity.h"

namespace malina::app {

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  const auto problem = [least, most](const std::string& text) -> std::string {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, value);
    if (failure == std::errc() && at == end && value >= least && value <= most) return "";
    return fmt::format("'{}' is not a whole number from {} to {}", text, least, most);
  };
  return CLI::Validator(problem, "");
}

CLI::Validator context_tokens() { return whole_number(1, 1ULL << 31); }

CLI::Validator duration() {
  const auto problem = [](const std::string& text) -> std::string {
    if (base::parse_duration(text)) return "";
    return fmt::format("'{}' is not a time such as 90d, 1h30m or 45s", text);
  };
  return CLI::Validator(problem, "");
}

CLI::Validator real_number() {
  const auto problem = [](const std::string& text) -> std::string {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, value);
    if (failure == std::errc() && at == end && std::isfinite(value)) return "";
    return fmt::format("'{}' is not a number", text);
  };
  return CLI::Validator(problem, "");
}

}  // namespace malina::app
