#include "platform/http_header.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/ascii.h"

namespace malina::platform {

namespace {

// Takes `prefix` off the front of `text` where it stands there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "Wed, 21 Oct 2015 07:28:00 GMT", the one form of date that is sent today.
std::optional<std::time_t> parse_date(const std::string& text) {
  std::tm parts{};
  const char* const end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return timegm(&parts);
}

// Whether the parameters of a link, after its <target>, have rel="next".
bool is_next(std::string_view parameters) {
  const std::string text = lower_case(parameters);
  std::size_t at = 0;
  while ((at = text.find("rel", at)) != std::string::npos) {
    std::string_view rest = std::string_view(text).substr(at + 3);
    at += 3;
    rest = trimmed(rest);
    if (!take(rest, "=")) continue;
    rest = trimmed(rest);
    const bool quoted = take(rest, "\"");
    const std::string_view value = rest.substr(0, rest.find_first_of(quoted ? "\"" : ";, "));
    if (value == "next") return true;
  }
  return false;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower_case(std::string_view text) { return base::ascii_lower(text); }

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  value = trimmed(value);
  if (!take(value, "bytes ")) return std::nullopt;
  const std::size_t dash = value.find('-');
  const std::size_t slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash)
    return std::nullopt;
  const auto first = parse_decimal(value.substr(0, dash));
  const auto last = parse_decimal(value.substr(dash + 1, slash - dash - 1));
  const std::string_view total_text = value.substr(slash + 1);
  const auto total = parse_decimal(total_text);
  if (!first || !last || *last < *first || (!total && total_text != "*")) return std::nullopt;
  if (total && *last >= *total) return std::nullopt;
  return ContentRange{*first, *last, total};
}

std::optional<std::string> next_link(std::string_view value) {
  while (true) {
    const std::size_t open = value.find('<');
    if (open == std::string_view::npos) return std::nullopt;
    const std::size_t close = value.find('>', open);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view target = value.substr(open + 1, close - open - 1);
    value.remove_prefix(close + 1);
    const std::string_view parameters = value.substr(0, value.find('<'));
    if (is_next(parameters)) return std::string(target);
  }
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now) {
  value = trimmed(value);
  constexpr std::uint64_t kLongest = 365U * 24 * 3600;
  if (const auto seconds = parse_decimal(value))
    return std::chrono::seconds(std::min(*seconds, kLongest));
  const auto date = parse_date(std::string(value));
  if (!date) return std::nullopt;
  const auto wait = *date - std::chrono::system_clock::to_time_t(now);
  return std::chrono::seconds(std::clamp<std::int64_t>(wait, 0, kLongest));
}

bool is_strong_etag(std::string_view value) {
  constexpr std::size_t kLongest = 512;
  if (value.size() < 3 || value.size() > kLongest) return false;
  if (value.front() != '"' || value.back() != '"') return false;
  return std::all_of(value.begin() + 1, value.end() - 1,
                     [](char c) { return c > ' ' && c <= '~' && c != '"'; });
}

}  // namespace malina::platform
