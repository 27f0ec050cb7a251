#include "app/setting_options.h"

namespace malina::app {

namespace {

using platform::Setting;
using platform::SettingType;

CLI::Option* declare(CLI::App& cli, const Setting& setting) {
  const std::string name = platform::option_name(setting);
  const std::string help(setting.help);
  // Without a variable of their own: results() has what was written, and assign() reads it.
  if (setting.type == SettingType::flag) return cli.add_flag(name, help);
  CLI::Option* option = cli.add_option(name, help)->type_name(platform::type_word(setting));
  if (setting.type == SettingType::list)
    option->expected(1, 10000)->allow_extra_args(false);
  else
    option->expected(1);
  const std::string standard = platform::value_text(setting, {});
  return standard.empty() ? option : option->default_str(standard);
}

}  // namespace

void add_serve_options(CLI::App& cli, SettingOptions& options) {
  cli.add_option("--config", options.file,
                 "The configuration file; otherwise MALINA_CONFIG, "
                 "~/.config/malina/malina.toml or /etc/malina/malina.toml")
      ->type_name("FILE");
  for (const Setting& setting : platform::setting_table())
    if (!platform::option_name(setting).empty())
      options.declared.emplace_back(&setting, declare(cli, setting));
}

platform::LoadedSettings resolve(const SettingOptions& options, Session& session) {
  platform::SettingsRequest request{
      .file = options.file, .environment = platform::process_environment(), .options = {}};
  for (const auto& [setting, option] : options.declared)
    if (option->count() > 0) request.options.push_back({setting, option->results()});
  platform::LoadedSettings loaded = platform::load_settings(request);
  for (const std::string& warning : loaded.warnings)
    session.console().status("malina: " + printable(warning) + "\n");
  session.use(loaded);
  return loaded;
}

}  // namespace malina::app
