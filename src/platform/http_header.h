// The parts of HTTP headers that downloads depend on. All of them come from a server that may lie.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace malina::platform {

struct ContentRange {
  std::uint64_t first = 0, last = 0;   // bytes, both inclusive
  std::optional<std::uint64_t> total;  // absent: "*"
  bool operator==(const ContentRange&) const = default;
};

// "bytes 5-9/10" or "bytes 5-9/*" (RFC 9110, 14.4); nullopt where it is anything else or not true
// in itself (last before first, or not below the total).
std::optional<ContentRange> parse_content_range(std::string_view value);

// The target of the entry with rel="next" of a Link header (RFC 8288), as it stands; nullopt: none.
std::optional<std::string> next_link(std::string_view value);

// Seconds, or a date (RFC 9110, 10.2.3) as the time from `now` on; nullopt where it is neither.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now);

// Decimal digits alone, that fit.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

// A validator that may stand in If-Range: a strong ETag with its quotes, of printable characters.
bool is_strong_etag(std::string_view value);

// The value without spaces at its ends, and lower case of ASCII.
std::string_view trimmed(std::string_view text);
std::string lower_case(std::string_view text);

}  // namespace malina::platform
