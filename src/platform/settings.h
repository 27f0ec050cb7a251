// Every setting of the program: one table, from which follow the options of `malina serve`, the
// environment variables, the keys of the configuration file, `malina config` and the reference
// page.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "platform/server_settings.h"

namespace malina::platform {

struct Settings {
  std::filesystem::path home;  // of models and records, absolute
  bool offline = false;        // `pull` is closed
  ServerSettings serve;
};

// Where a setting's value is kept; its type is the setting's.
using SettingPlace =
    std::variant<std::string*, std::filesystem::path*, bool*, std::uint16_t*, unsigned*,
                 std::uint64_t*, std::chrono::milliseconds*, std::vector<std::string>*>;

enum class SettingType { text, path, choice, flag, number, size, duration, list };

struct Setting {
  std::string_view table;  // of the file: "" or "serve"
  std::string_view name;   // as a key of the file, such as keep_alive
  SettingType type = SettingType::text;
  std::string_view help;  // one phrase, without a full stop; further ones after a semicolon
  SettingPlace (*place)(Settings& settings) = nullptr;
  // Limits of a number, of a size in bytes, of a duration in milliseconds.
  std::uint64_t least = 0, most = 0;
  std::string_view choices = {};  // "text|json"
  std::string_view zero = {};     // what 0, or the empty text, is called: "auto"
  std::string_view endless = {};  // what kLongestDuration is called: "forever"
  // Of one value of a text or a list: may rewrite it, returns what is wrong ("is no address ...")
  // or nothing.
  std::string (*check)(std::string& value) = nullptr;
};

// In the order of the reference page.
std::span<const Setting> setting_table();

std::string setting_key(const Setting& setting);           // "serve.keep_alive"
std::string environment_variable(const Setting& setting);  // "MALINA_KEEP_ALIVE"
std::string option_name(const Setting& setting);           // "--keep-alive"; "" outside of [serve]
std::string type_word(const Setting& setting);             // "DURATION", "text|json", "" for a flag
// The value as it is written in an option: "5m", "8GiB", "auto", "a,b".
std::string value_text(const Setting& setting, const Settings& settings);
// What may be written: "a whole number from 1 to 65535, or auto".
std::string allowed_values(const Setting& setting);

enum class Origin { built_in, file, environment, option };
std::string_view name(Origin origin);  // "default", "file", "environment", "option"

struct SettingOrigin {
  Origin origin = Origin::built_in;
  std::string where;  // "/etc/malina/malina.toml:12", "MALINA_PORT", "--port"; "" of a default
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

struct SettingsRequest {
  std::filesystem::path file;  // --config; "": see configuration_file
  Environment environment;     // by name
  bool general_only = false;   // take nothing from the environment for tables such as [serve]
  struct Option {
    const Setting* setting;
    std::vector<std::string> values;  // several where it was repeated
  };
  std::vector<Option> options;
};

struct LoadedSettings {
  Settings values;
  std::vector<SettingOrigin> origins;  // in the order of setting_table()
  std::filesystem::path file;          // that was read; "": none
  std::vector<std::string> warnings;   // whole sentences, for whoever starts a server

  const SettingOrigin& origin(std::string_view key) const;  // "serve.port"
};

// The file that is to be read: --config, else $MALINA_CONFIG, else the first of standard_files that
// exists, "" where there is none. The file "/dev/null" is none.
std::filesystem::path configuration_file(const SettingsRequest& request);
// $XDG_CONFIG_HOME/malina/malina.toml (or ~/.config), /etc/malina/malina.toml.
std::vector<std::filesystem::path> standard_files(const Environment& environment);

// An option comes before the environment, that before the file, that before the default. An
// environment variable that is empty counts as absent. Throws base::Error(invalid_argument), naming
// where and what is allowed, for any value that does not read, an unknown key of the file, a file
// that everybody may write, and for values that do not go together; not_found for a file that was
// asked for and is not there; io for one that cannot be read.
LoadedSettings load_settings(const SettingsRequest& request);

// Why `pull` is closed, as its error says it: "MALINA_OFFLINE is set", "FILE:3 sets offline"; ""
// where it is not.
std::string offline_reason(const LoadedSettings& settings);

// A configuration file with every setting, its explanation, and its default commented out.
std::string sample_configuration();

}  // namespace malina::platform
