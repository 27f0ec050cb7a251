#include "base/quantity.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/ascii.h"

namespace malina::base {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t worth;
};

constexpr std::array<Unit, 5> kDurations{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

// Names are compared in lower case. Binary ones first: what both divide is shown in those.
constexpr std::array<Unit, 9> kSizes{{{"TiB", 1ULL << 40},
                                      {"GiB", 1ULL << 30},
                                      {"MiB", 1ULL << 20},
                                      {"KiB", 1ULL << 10},
                                      {"TB", 1'000'000'000'000},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"kB", 1000},
                                      {"B", 1}}};

constexpr std::uint64_t kMostBytes = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool same_word(std::string_view a, std::string_view b) { return ascii_lower(a) == ascii_lower(b); }

// Takes the digits at the front of `text`; nothing where there are none, or too many.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// Adds `count` units of `worth` to `total`, unless that would be more than `most`.
bool add(std::uint64_t& total, std::uint64_t count, std::uint64_t worth, std::uint64_t most) {
  if (count > (most - total) / worth) return false;
  total += count * worth;
  return true;
}

// The bytes that ".digits" of a unit are, where they are a whole number.
std::optional<std::uint64_t> part_of(std::string_view digits, std::uint64_t worth) {
  std::uint64_t numerator = 0, denominator = 1;
  for (const char c : digits) {
    if (!is_digit(c) || denominator > 1'000'000) return std::nullopt;  // TiB times that fits
    numerator = numerator * 10 + static_cast<std::uint64_t>(c - '0');
    denominator *= 10;
  }
  if (digits.empty() || numerator * worth % denominator != 0) return std::nullopt;
  return numerator * worth / denominator;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr auto kMost = static_cast<std::uint64_t>(kLongestDuration.count());
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::size_t next_unit = 0;
  bool first = true;
  while (!text.empty()) {
    const auto count = take_number(text);
    if (!count) return std::nullopt;
    if (text.empty() && first) {  // a number alone
      if (!add(total, *count, 1000, kMost)) return std::nullopt;
      break;
    }
    std::size_t letters = 0;
    while (letters < text.size() && !is_digit(text[letters])) ++letters;
    const std::string_view name = text.substr(0, letters);
    while (next_unit < kDurations.size() && kDurations[next_unit].name != name) ++next_unit;
    if (next_unit == kDurations.size()) return std::nullopt;
    if (!add(total, *count, kDurations[next_unit].worth, kMost)) return std::nullopt;
    ++next_unit;
    text.remove_prefix(letters);
    first = false;
  }
  return std::chrono::milliseconds(total);
}

std::string duration_text(std::chrono::milliseconds duration) {
  auto rest = static_cast<std::uint64_t>(duration.count());
  std::string text;
  for (const Unit& unit : kDurations) {
    if (rest < unit.worth) continue;
    text += std::to_string(rest / unit.worth).append(unit.name);
    rest %= unit.worth;
  }
  return text.empty() ? "0s" : text;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto whole = take_number(text);
  if (!whole) return std::nullopt;
  std::string_view fraction;
  if (text.starts_with('.')) {
    std::size_t end = 1;
    while (end < text.size() && is_digit(text[end])) ++end;
    fraction = text.substr(1, end - 1);
    if (fraction.empty()) return std::nullopt;
    text.remove_prefix(end);
    if (text.empty()) return std::nullopt;  // a fraction of what
  }
  std::uint64_t worth = 1;
  if (!text.empty()) {
    if (text.front() == ' ') text.remove_prefix(1);
    const Unit* found = nullptr;
    for (const Unit& unit : kSizes)
      if (same_word(unit.name, text)) found = &unit;
    if (found == nullptr) return std::nullopt;
    worth = found->worth;
  }
  std::uint64_t total = 0;
  if (!add(total, *whole, worth, kMostBytes)) return std::nullopt;
  if (fraction.empty()) return total;
  const auto part = part_of(fraction, worth);
  if (!part || !add(total, *part, 1, kMostBytes)) return std::nullopt;
  return total;
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : kSizes)
    if (unit.worth > 1 && bytes >= unit.worth && bytes % unit.worth == 0)
      return std::to_string(bytes / unit.worth).append(unit.name);
  return std::to_string(bytes);
}

}  // namespace malina::base
