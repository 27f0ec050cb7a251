// malina config: what the settings are, where each comes from, and a file to begin with.
#include <array>
#include <filesystem>

#include "app/command.h"
#include "app/setting_options.h"
#include "base/atomic_file.h"

namespace malina::app {

namespace {

using platform::LoadedSettings;
using platform::Setting;

struct ShowOptions {
  SettingOptions settings;
  bool json = false;
};

Json optional_text(const std::string& text) { return text.empty() ? Json() : Json(text); }

// A number for what counts, sizes in bytes and durations in seconds; otherwise as it is written.
Json value_json(const Setting& setting, platform::Settings& values) {
  return std::visit(
      [&](const auto* value) -> Json {
        using Value = std::remove_cvref_t<decltype(*value)>;
        if constexpr (std::is_same_v<Value, std::chrono::milliseconds>)
          return value->count() % 1000 == 0 ? Json(value->count() / 1000)
                                            : Json(static_cast<double>(value->count()) / 1000);
        else if constexpr (std::is_same_v<Value, std::filesystem::path>)
          return optional_text(value->string());
        else if constexpr (std::is_same_v<Value, std::string>)
          return optional_text(*value);
        else
          return *value;
      },
      setting.place(values));
}

Json report_json(LoadedSettings& loaded) {
  Json list = Json::array();
  const auto table = platform::setting_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Setting& setting = table[i];
    const platform::SettingOrigin& origin = loaded.origins[i];
    list.push_back({{"name", platform::setting_key(setting)},
                    {"value", value_json(setting, loaded.values)},
                    {"text", platform::value_text(setting, loaded.values)},
                    {"origin", platform::name(origin.origin)},
                    {"where", optional_text(origin.where)},
                    {"variable", platform::environment_variable(setting)},
                    {"option", optional_text(platform::option_name(setting))},
                    {"default", platform::value_text(setting, {})},
                    {"allowed", platform::allowed_values(setting)},
                    {"help", setting.help}});
  }
  return {{"file", optional_text(loaded.file.string())}, {"settings", std::move(list)}};
}

std::string origin_text(const platform::SettingOrigin& origin) {
  switch (origin.origin) {
    case platform::Origin::built_in:
      return "default";
    case platform::Origin::file:
      return origin.where;
    default:
      return fmt::format("{} {}", platform::name(origin.origin), origin.where);
  }
}

void show(const ShowOptions& options, Session& session) {
  LoadedSettings loaded = resolve(options.settings, session);
  Console& console = session.console();
  if (options.json) return console.json(report_json(loaded));
  std::vector<std::vector<std::string>> rows{{"SETTING", "VALUE", "ORIGIN"}};
  const auto table_of = platform::setting_table();
  for (std::size_t i = 0; i < table_of.size(); ++i) {
    const std::string value = platform::value_text(table_of[i], loaded.values);
    rows.push_back({platform::setting_key(table_of[i]), value.empty() ? "-" : printable(value),
                    printable(origin_text(loaded.origins[i]))});
  }
  if (loaded.file.empty())
    console.write("no configuration file\n\n");
  else
    console.print("configuration file {}\n\n", printable(loaded.file.string()));
  console.write(table(rows));
}

void init(const std::string& output, Session& session) {
  const std::string sample = platform::sample_configuration();
  if (output.empty()) return session.console().write(sample);
  const std::filesystem::path file = output;
  if (!file.parent_path().empty()) std::filesystem::create_directories(file.parent_path());
  base::AtomicFile target(file, base::AtomicFile::Existing::refuse);
  target.write(sample);
  target.commit();
  session.console().print("{}\n", printable(file.string()));
}

Action setup_show(CLI::App& cli) {
  auto options = std::make_shared<ShowOptions>();
  add_serve_options(cli, options->settings);
  cli.add_flag("--json", options->json, "Print what there is to say of each setting as JSON");
  return [options](Session& session) { show(*options, session); };
}

Action setup_init(CLI::App& cli) {
  auto output = std::make_shared<std::string>();
  cli.add_option("--output", *output, "Write it to this file, which must not exist")
      ->type_name("FILE");
  return [output](Session& session) { init(*output, session); };
}

constexpr std::array kVerbs{
    Verb{.name = "show",
         .summary = "Show every setting and where its value comes from",
         .details =
             "An option comes before an environment variable (MALINA_PORT), that before the file, "
             "that\nbefore the default. It takes the options of 'malina serve', to see what they "
             "would do.",
         .examples = "  malina config show\n"
                     "  MALINA_KEEP_ALIVE=1h malina config show --port 9000 --json\n",
         .setup = setup_show},
    Verb{.name = "init",
         .summary = "Print a configuration file with every setting, explained and commented out",
         .details = "",
         .examples = "  malina config init\n"
                     "  malina config init --output ~/.config/malina/malina.toml\n",
         .setup = setup_init}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command config{
    .name = "config",
    .summary = "Show the settings and where each comes from, or make a configuration file",
    .details = "",
    .examples =
        "  malina config show\n"
        "  malina config init --output ~/.config/malina/malina.toml\n",
    .setup = setup};

}  // namespace malina::app
