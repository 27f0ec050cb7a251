#include "platform/settings_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/near_match.h"
#include "platform/setting_value.h"
#include "platform/toml_library.h"

namespace malina::platform {

namespace {

// The text that assign() reads, where the file's type is one that the setting may be written in.
std::optional<std::string> scalar(const Setting& setting, const toml::node& node) {
  if (const auto* flag = node.as_boolean(); flag != nullptr && setting.type == SettingType::flag)
    return flag->get() ? "true" : "false";
  const bool is_number = setting.type == SettingType::number || setting.type == SettingType::size ||
                         setting.type == SettingType::duration;
  if (const auto* number = node.as_integer(); number != nullptr && is_number)
    return std::to_string(number->get());
  const auto* text = node.as_string();
  if (text == nullptr || setting.type == SettingType::flag) return std::nullopt;
  // A number in quotes is no number; "auto" is.
  if (setting.type == SettingType::number && text->get() != setting.zero) return std::nullopt;
  return text->get();
}

std::string type_of_file(const Setting& setting) {
  switch (setting.type) {
    case SettingType::flag:
      return "true or false, without quotes";
    case SettingType::list:
      return "a list of texts, such as [\"a\", \"b\"]";
    case SettingType::number:
      return allowed_values(setting) + ", without quotes";
    case SettingType::size:
      return allowed_values(setting) + "; in quotes if it has a unit";
    case SettingType::duration:
      return allowed_values(setting) + "; in quotes if it has a unit";
    default:
      return allowed_values(setting) + ", in quotes";
  }
}

class Reader {
 public:
  explicit Reader(const std::string& label) : label_(label) {}

  std::vector<FileSetting> read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (const toml::table* table = node.as_table();
          table != nullptr && find(key.str(), "") == nullptr)
        read_table(key, *table);
      else
        read_setting("", key, node);
    }
    return std::move(found_);
  }

 private:
  static const Setting* find(std::string_view name, std::string_view table) {
    for (const Setting& setting : setting_table())
      if (setting.name == name && setting.table == table) return &setting;
    return nullptr;
  }

  static bool is_table(std::string_view name) {
    return !name.empty() && std::ranges::any_of(setting_table(), [&](const Setting& setting) {
      return setting.table == name;
    });
  }

  void read_table(const toml::key& name, const toml::table& table) {
    if (!is_table(name.str())) {
      std::vector<std::string> known;
      for (const Setting& setting : setting_table())
        if (is_table(setting.table)) known.emplace_back(setting.table);
      known.erase(std::unique(known.begin(), known.end()), known.end());
      fail_at(label_, name.source(),
              fmt::format("there is no table [{}]{}", name.str(),
                          base::did_you_mean(name.str(), known)));
    }
    for (const auto& [key, node] : table) read_setting(name.str(), key, node);
  }

  [[noreturn]] void refuse_unknown(std::string_view table, const toml::key& key) {
    std::vector<std::string> known;
    std::string elsewhere;
    for (const Setting& setting : setting_table()) {
      if (setting.table == table) known.emplace_back(setting.name);
      if (setting.name == key.str())
        elsewhere = setting.table.empty() ? "; it belongs above all tables"
                                          : fmt::format("; it belongs into [{}]", setting.table);
    }
    if (table.empty() && is_table(key.str()))
      elsewhere = fmt::format("; it is a table, and begins with the line [{}]", key.str());
    if (elsewhere.empty()) elsewhere = base::did_you_mean(key.str(), known);
    const std::string place =
        table.empty() ? std::string("outside of a table") : fmt::format("in [{}]", table);
    fail_at(
        label_, key.source(),
        fmt::format("there is no setting '{}' {}{}", key.str(), place,
                    elsewhere.empty() ? "; 'malina config init' prints all there are" : elsewhere));
  }

  void read_setting(std::string_view table, const toml::key& key, const toml::node& node) {
    const Setting* setting = find(key.str(), table);
    if (setting == nullptr) refuse_unknown(table, key);
    FileSetting result{.setting = setting,
                       .values = {},
                       .written = quoted(node),
                       .line = node.source().begin.line};
    const auto wrong_type = [&](const toml::node& wrong) {
      fail_at(label_, wrong.source(),
              fmt::format("{} = {} is not {}", setting_key(*setting), quoted(wrong),
                          type_of_file(*setting)));
    };
    if (setting->type == SettingType::list) {
      const toml::array* list = node.as_array();
      if (list == nullptr) wrong_type(node);
      for (const toml::node& entry : *list) {
        if (!entry.is_string()) wrong_type(entry);
        result.values.push_back(entry.as_string()->get());
      }
    } else {
      const auto value = scalar(*setting, node);
      if (!value) wrong_type(node);
      result.values.push_back(*value);
    }
    found_.push_back(std::move(result));
  }

  const std::string label_;
  std::vector<FileSetting> found_;
};

}  // namespace

std::vector<FileSetting> parse_settings(std::string_view text, const std::string& label) {
  return Reader(label).read(parse_toml(text, label));
}

std::vector<FileSetting> read_settings_file(const std::filesystem::path& path) {
  return parse_settings(read_toml_file(path), path.string());
}

}  // namespace malina::platform
