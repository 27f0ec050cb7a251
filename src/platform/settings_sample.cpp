#include <fmt/format.h>

#include "platform/setting_value.h"
#include "platform/settings.h"

namespace malina::platform {

namespace {

constexpr std::size_t kWidth = 100;

constexpr std::string_view kHead =
    R"(# malina.toml: the settings of malina. Whatever is commented out has its default.
#
# Read is the first of: the file that --config names, the one that MALINA_CONFIG names,
# ~/.config/malina/malina.toml, /etc/malina/malina.toml. An option of 'malina serve' comes before an
# environment variable, that before this file, that before the default; 'malina config show' prints
# what holds, and why. The name of a variable is MALINA_ and the setting's own in capitals.
)";

// As comment lines, broken at spaces.
std::string comment(std::string text) {
  std::string lines;
  while (text.size() + 2 > kWidth) {
    const std::size_t space = text.rfind(' ', kWidth - 2);
    if (space == std::string::npos || space == 0) break;
    lines += "# " + text.substr(0, space) + "\n";
    text.erase(0, space + 1);
  }
  return lines + "# " + text + "\n";
}

// The default as the file has it.
std::string written(const Setting& setting, const Settings& defaults) {
  const std::string text = value_text(setting, defaults);
  switch (setting.type) {
    case SettingType::flag:
      return text;
    case SettingType::list:
      return "[]";
    case SettingType::number:
      return text == setting.zero ? "\"" + text + "\"" : text;
    default:
      return "\"" + text + "\"";
  }
}

}  // namespace

std::string sample_configuration() {
  Settings defaults;
  defaults.home = "~/.local/share/malina";
  std::string text(kHead);
  std::string_view table;
  for (const Setting& setting : setting_table()) {
    if (setting.table != table) text += fmt::format("\n[{}]\n", setting.table);
    table = setting.table;
    std::string limits = allowed_values(setting);
    text += "\n" + comment(fmt::format("{}.", setting.help));
    if (setting.type != SettingType::text && setting.type != SettingType::path &&
        setting.type != SettingType::list)
      text += comment(fmt::format("{}{}.", static_cast<char>(limits[0] - 'a' + 'A'),
                                  std::string_view(limits).substr(1)));
    text += fmt::format("#{} = {}\n", setting.name, written(setting, defaults));
  }
  return text;
}

}  // namespace malina::platform
