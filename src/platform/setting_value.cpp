#include "platform/setting_value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/near_match.h"
#include "base/quantity.h"

namespace malina::platform {

namespace {

using std::chrono::milliseconds;
constexpr auto kForever = static_cast<std::uint64_t>(base::kLongestDuration.count());

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(separator, start), text.size());
    parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::optional<bool> parse_flag(std::string_view text) {
  for (const std::string_view word : {"true", "yes", "on", "1"})
    if (text == word) return true;
  for (const std::string_view word : {"false", "no", "off", "0"})
    if (text == word) return false;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_whole(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A number, a size or a duration as the number that its limits are in.
std::optional<std::uint64_t> parse_amount(const Setting& setting, std::string_view text) {
  if (!setting.zero.empty() && text == setting.zero) return 0;
  if (!setting.endless.empty() && text == setting.endless) return kForever;
  if (setting.type == SettingType::size) return base::parse_size(text);
  if (setting.type == SettingType::number) return parse_whole(text);
  const auto duration = base::parse_duration(text);
  if (!duration) return std::nullopt;
  return static_cast<std::uint64_t>(duration->count());
}

std::string amount_text(const Setting& setting, std::uint64_t amount) {
  if (!setting.zero.empty() && amount == 0) return std::string(setting.zero);
  if (!setting.endless.empty() && amount == kForever) return std::string(setting.endless);
  if (setting.type == SettingType::size) return base::size_text(amount);
  if (setting.type == SettingType::number) return std::to_string(amount);
  return base::duration_text(milliseconds(amount));
}

// As a limit is named: there 0 is "0", whatever else it means.
std::string limit_text(const Setting& setting, std::uint64_t amount) {
  Setting plain = setting;
  plain.zero = plain.endless = {};
  return amount_text(plain, amount);
}

std::string assign_amount(const Setting& setting, std::string_view text,
                          const SettingPlace& place) {
  const auto amount = parse_amount(setting, text);
  if (!amount || *amount < setting.least || *amount > setting.most)
    return "is not " + allowed_values(setting);
  std::visit(
      [&](auto* target) {
        using Target = std::remove_pointer_t<decltype(target)>;
        if constexpr (std::is_same_v<Target, milliseconds>)
          *target = milliseconds(*amount);
        else if constexpr (std::is_integral_v<Target> && !std::is_same_v<Target, bool>)
          *target = static_cast<Target>(*amount);
      },
      place);
  return "";
}

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// What is wrong with one text: empty, control characters, or what the setting's own check finds.
std::string check_text(const Setting& setting, std::string& value) {
  if (value.empty()) return "is empty";
  if (!is_printable(value)) return "has control characters";
  return setting.check == nullptr ? "" : setting.check(value);
}

std::string assign_text(const Setting& setting, std::string value, const SettingPlace& place) {
  if (!setting.zero.empty() && value == setting.zero) value.clear();
  if (!value.empty() || setting.zero.empty())
    if (std::string problem = check_text(setting, value); !problem.empty()) return problem;
  if (const auto* path = std::get_if<std::filesystem::path*>(&place)) {
    **path = value;
    return "";
  }
  *std::get<std::string*>(place) = std::move(value);
  return "";
}

std::string assign_choice(const Setting& setting, std::string value, const SettingPlace& place) {
  const std::vector<std::string> choices = split(setting.choices, '|');
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    return "is not " + allowed_values(setting) + base::did_you_mean(value, choices);
  if (value == setting.zero) value.clear();
  *std::get<std::string*>(place) = std::move(value);
  return "";
}

std::string assign_list(const Setting& setting, std::span<const std::string> values,
                        const SettingPlace& place) {
  std::vector<std::string> checked(values.begin(), values.end());
  for (std::string& value : checked) {
    const std::string written = value;
    if (const std::string problem = check_text(setting, value); !problem.empty())
      return checked.size() == 1 ? problem
                                 : fmt::format("has an entry '{}' that {}", written, problem);
  }
  *std::get<std::vector<std::string>*>(place) = std::move(checked);
  return "";
}

}  // namespace

std::string assign(const Setting& setting, std::span<const std::string> values,
                   Settings& settings) {
  const SettingPlace place = setting.place(settings);
  if (setting.type == SettingType::list) return assign_list(setting, values, place);
  const std::string value = values.empty() ? "" : values.back();
  switch (setting.type) {
    case SettingType::flag: {
      const auto flag = parse_flag(value);
      if (!flag) return "is not " + allowed_values(setting);
      *std::get<bool*>(place) = *flag;
      return "";
    }
    case SettingType::choice:
      return assign_choice(setting, value, place);
    case SettingType::text:
    case SettingType::path:
      return assign_text(setting, value, place);
    default:
      return assign_amount(setting, value, place);
  }
}

std::string allowed_values(const Setting& setting) {
  std::string words;
  for (const std::string_view word : {setting.zero, setting.endless})
    if (!word.empty()) words += fmt::format(", or {}", word);
  const auto range = [&](std::string_view what, std::string_view how) {
    return fmt::format("{} from {} to {}{}{}", what, limit_text(setting, setting.least),
                       limit_text(setting, setting.most), how, words);
  };
  switch (setting.type) {
    case SettingType::flag:
      return "true or false";
    case SettingType::choice:
      return fmt::format("one of {}", fmt::join(split(setting.choices, '|'), ", "));
    case SettingType::number:
      return range("a whole number", "");
    case SettingType::size:
      return range("a size", " (8GiB, 500MB, or a number of bytes)");
    case SettingType::duration:
      return range("a duration", " (30s, 5m, 1h30m, or a number of seconds)");
    case SettingType::list:
      return "a list of texts";
    case SettingType::path:
      return "a path" + words;
    case SettingType::text:
      return "a text" + words;
  }
  return "";
}

std::string value_text(const Setting& setting, const Settings& settings) {
  // The table's places are pointers, for reading and for writing.
  Settings copy = settings;
  return std::visit(
      [&](const auto* value) -> std::string {
        using Value = std::remove_cvref_t<decltype(*value)>;
        if constexpr (std::is_same_v<Value, bool>)
          return *value ? "true" : "false";
        else if constexpr (std::is_same_v<Value, std::vector<std::string>>)
          return fmt::format("{}", fmt::join(*value, ","));
        else if constexpr (std::is_same_v<Value, milliseconds>)
          return amount_text(setting, static_cast<std::uint64_t>(value->count()));
        else if constexpr (std::is_integral_v<Value>)
          return amount_text(setting, *value);
        else if constexpr (std::is_same_v<Value, std::filesystem::path>)
          return value->empty() ? std::string(setting.zero) : value->string();
        else
          return value->empty() ? std::string(setting.zero) : *value;
      },
      setting.place(copy));
}

}  // namespace malina::platform
