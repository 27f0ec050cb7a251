// Durations and sizes as people write them in options and configuration files.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace malina::base {

// "30s", "5m", "1h30m", "2d", "500ms": whole numbers with the units d, h, m, s and ms, each once
// and the larger first; a number alone is seconds. Nothing for what does not read so, or is longer
// than kLongestDuration.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// The shortest text that parse_duration takes back; "0s" for none. Takes no negative ones.
std::string duration_text(std::chrono::milliseconds duration);

// A century: a clock of nanoseconds holds that, and any moment of this one added to it.
inline constexpr std::chrono::milliseconds kLongestDuration = std::chrono::hours(24 * 36500);

// "8GiB", "1.5GiB", "500MB", "64 KiB": a decimal number with one of the units B, kB (or KB), MB,
// GB, TB, KiB, MiB, GiB, TiB, in any case; a whole number alone is bytes. Nothing for what does not
// read so ("8G" could mean either), is no whole number of bytes or needs more than 63 bits.
std::optional<std::uint64_t> parse_size(std::string_view text);
// Exact: "8GiB", "500MB", or the number of bytes where no unit divides it.
std::string size_text(std::uint64_t bytes);

}  // namespace malina::base
