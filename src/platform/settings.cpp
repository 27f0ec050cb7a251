#include "platform/settings.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/ascii.h"
#include "base/error.h"
#include "base/near_match.h"
#include "platform/setting_value.h"
#include "platform/settings_file.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

std::string get(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// "": this user has none. Services often run without HOME.
path user_folder(const Environment& environment) {
  if (const std::string home = get(environment, "HOME"); !home.empty()) return home;
  if (const passwd* user = getpwuid(getuid()); user != nullptr && user->pw_dir != nullptr)
    return user->pw_dir;
  return {};
}

path default_home(const Environment& environment) {
  const path user = user_folder(environment);
  if (!user.empty()) return std::filesystem::absolute(user / ".local/share/malina");
  throw Error(
      Fault::invalid_argument,
      "neither MALINA_HOME nor HOME is set and this user has no home directory, so there is "
      "no folder for models");
}

std::size_t index_of(const Setting& setting) {
  return static_cast<std::size_t>(&setting - setting_table().data());
}

// "~/x" is the user's own, and what is relative is so to the folder that it was written in.
void make_absolute(const Setting& setting, Settings& settings, const path& folder,
                   const Environment& environment) {
  const SettingPlace place = setting.place(settings);
  const auto* const target = std::get_if<path*>(&place);
  if (target == nullptr || (*target)->empty()) return;
  path& value = **target;
  if (const std::string text = value.string(); text == "~" || text.starts_with("~/"))
    value = user_folder(environment) / text.substr(std::min<std::size_t>(2, text.size()));
  value = std::filesystem::absolute(folder / value).lexically_normal();
}

std::vector<std::string> split_list(const std::vector<std::string>& values) {
  std::vector<std::string> entries;
  for (const std::string& value : values) {
    for (std::size_t start = 0; start <= value.size();) {
      const std::size_t end = std::min(value.find(',', start), value.size());
      const std::size_t first = value.find_first_not_of(' ', start);
      const std::size_t begin = std::min(first, end);
      const std::size_t last = value.find_last_not_of(' ', end == 0 ? 0 : end - 1);
      entries.push_back(begin < end ? value.substr(begin, last + 1 - begin) : "");
      start = end + 1;
    }
  }
  return entries;
}

class Loading {
 public:
  explicit Loading(const SettingsRequest& request) : request_(request) {
    loaded_.origins.resize(setting_table().size());
  }

  LoadedSettings load() && {
    loaded_.file = configuration_file(request_);
    if (!loaded_.file.empty()) take_file();
    take_environment();
    take_options();
    if (loaded_.origin("home").origin == Origin::built_in)
      loaded_.values.home = default_home(request_.environment);
    if (!request_.general_only) {
      check_together();
      warn();
    }
    return std::move(loaded_);
  }

 private:
  void note(const Setting& setting, Origin origin, std::string where) {
    loaded_.origins[index_of(setting)] = {origin, std::move(where)};
  }

  void take_file() {
    const path folder = std::filesystem::absolute(loaded_.file).parent_path();
    for (const FileSetting& entry : read_settings_file(loaded_.file)) {
      const Setting& setting = *entry.setting;
      const std::string where = fmt::format("{}:{}", loaded_.file.string(), entry.line);
      if (const std::string problem = assign(setting, entry.values, loaded_.values);
          !problem.empty())
        throw Error(
            Fault::invalid_argument,
            fmt::format("{}: {} = {} {}", where, setting_key(setting), entry.written, problem));
      make_absolute(setting, loaded_.values, folder, request_.environment);
      note(setting, Origin::file, where);
    }
  }

  void take_environment() {
    for (const Setting& setting : setting_table()) {
      const std::string name = environment_variable(setting);
      const std::string value = get(request_.environment, name);
      if (value.empty() || (request_.general_only && !setting.table.empty())) continue;
      take_variable(setting, name, value);
      make_absolute(setting, loaded_.values, "", request_.environment);
      note(setting, Origin::environment, name);
    }
  }

  void take_variable(const Setting& setting, const std::string& name, const std::string& value) {
    // Whatever was written there to close the door closes it.
    if (setting.name == "offline") {
      const std::string lower = base::ascii_lower(value);
      loaded_.values.offline = lower != "0" && lower != "false";
      return;
    }
    std::vector<std::string> values{value};
    if (setting.type == SettingType::list) values = split_list(values);
    const std::string problem = assign(setting, values, loaded_.values);
    if (problem.empty()) return;
    const bool linked = value.starts_with("tcp://") || value.starts_with("udp://");
    throw Error(Fault::invalid_argument,
                fmt::format("{} = '{}' {}{}", name, value, problem,
                            linked ? "; Kubernetes sets this for a service called malina: set "
                                     "enableServiceLinks: false, or rename the service"
                                   : ""));
  }

  void take_options() {
    for (const SettingsRequest::Option& option : request_.options) {
      const Setting& setting = *option.setting;
      const bool list = setting.type == SettingType::list;
      const std::vector<std::string> values = list ? split_list(option.values) : option.values;
      if (const std::string problem = assign(setting, values, loaded_.values); !problem.empty())
        throw Error(Fault::invalid_argument,
                    fmt::format("{} '{}' {}", option_name(setting),
                                option.values.empty() ? "" : option.values.back(), problem));
      make_absolute(setting, loaded_.values, "", request_.environment);
      note(setting, Origin::option, option_name(setting));
    }
  }

  // "serve.host (MALINA_HOST)", to say where what is wrong was set.
  std::string named(std::string_view key) const {
    const SettingOrigin& origin = loaded_.origin(key);
    return origin.where.empty() ? std::string(key) : fmt::format("{} ({})", key, origin.where);
  }

  void check_together() const {
    const ServerSettings& serve = loaded_.values.serve;
    if (serve.tls_certificate.empty() != serve.tls_key.empty()) {
      const bool without_key = serve.tls_key.empty();
      throw Error(Fault::invalid_argument,
                  fmt::format("{} is set without {}: a certificate and its key go together",
                              named(without_key ? "serve.tls_certificate" : "serve.tls_key"),
                              without_key ? "tls_key" : "tls_certificate"));
    }
    if (is_loopback_address(serve.host) || !serve.tls_certificate.empty() || serve.allow_plaintext)
      return;
    throw Error(Fault::invalid_argument,
                fmt::format("{} = {} is open to other machines, and without TLS anyone on the way "
                            "reads the keys and the texts: set tls_certificate and tls_key, or "
                            "allow_plaintext where a proxy in front speaks TLS",
                            named("serve.host"), serve.host));
  }

  void warn() {
    const path& key = loaded_.values.serve.tls_key;
    struct stat facts{};
    if (!key.empty() && stat(key.c_str(), &facts) == 0 && (facts.st_mode & S_IROTH) != 0)
      loaded_.warnings.push_back(fmt::format(
          "{} can be read by every user of this machine; 'chmod o-r' it", key.string()));
    warn_of_variables();
  }

  // A mistyped variable would be silent otherwise. Others that begin so belong to other parts of
  // the program, or to whoever set them.
  void warn_of_variables() {
    std::vector<std::string> known{"MALINA_CONFIG", "MALINA_ISA"};
    for (const Setting& setting : setting_table()) known.push_back(environment_variable(setting));
    for (const auto& [name, value] : request_.environment) {
      if (!name.starts_with("MALINA_") || std::ranges::find(known, name) != known.end()) continue;
      std::string near = name;
      std::erase(near, '_');
      for (const std::string& candidate : known) {
        std::string other = candidate;
        std::erase(other, '_');
        if (base::near_matches(near.substr(6), std::vector{other.substr(6)}).empty()) continue;
        loaded_.warnings.push_back(
            fmt::format("{} is set and is no setting; did you mean {}?", name, candidate));
        break;
      }
    }
  }

  const SettingsRequest& request_;
  LoadedSettings loaded_;
};

// A folder that this user may not look into is somebody else's (HOME often is, under su): as git
// has it, what is there is not for this user. A file that is seen and cannot be read is an error
// later on.
bool is_there(const path& file) {
  struct stat facts{};
  if (stat(file.c_str(), &facts) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return false;
  throw base::system_error("cannot look for the configuration file " + file.string());
}

}  // namespace

std::string setting_key(const Setting& setting) {
  return setting.table.empty() ? std::string(setting.name)
                               : fmt::format("{}.{}", setting.table, setting.name);
}

std::string environment_variable(const Setting& setting) {
  std::string name = "MALINA_";
  for (const char c : setting.name) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return name;
}

std::string option_name(const Setting& setting) {
  if (setting.table != "serve") return "";
  std::string name = "--";
  for (const char c : setting.name) name += c == '_' ? '-' : c;
  return name;
}

std::string type_word(const Setting& setting) {
  switch (setting.type) {
    case SettingType::flag:
      return "";
    case SettingType::choice:
      return std::string(setting.choices);
    case SettingType::number:
      return "N";
    case SettingType::size:
      return "SIZE";
    case SettingType::duration:
      return "DURATION";
    case SettingType::path:
      return "FILE";
    case SettingType::text:
      return "TEXT";
    case SettingType::list:
      return "TEXT,...";
  }
  return "";
}

std::string_view name(Origin origin) {
  switch (origin) {
    case Origin::built_in:
      return "default";
    case Origin::file:
      return "file";
    case Origin::environment:
      return "environment";
    case Origin::option:
      return "option";
  }
  return "";
}

Environment process_environment() {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

const SettingOrigin& LoadedSettings::origin(std::string_view key) const {
  for (const Setting& setting : setting_table())
    if (setting_key(setting) == key) return origins.at(index_of(setting));
  throw Error(Fault::internal, fmt::format("there is no setting {}", key));
}

std::vector<path> standard_files(const Environment& environment) {
  std::vector<path> files;
  const path folder = get(environment, "XDG_CONFIG_HOME");
  // The XDG base directory specification: what is not absolute is to be ignored.
  if (folder.is_absolute())
    files.push_back(folder / "malina/malina.toml");
  else if (const std::string home = get(environment, "HOME"); !home.empty())
    files.push_back(path(home) / ".config/malina/malina.toml");
  files.emplace_back("/etc/malina/malina.toml");
  return files;
}

path configuration_file(const SettingsRequest& request) {
  path asked = request.file;
  if (asked.empty()) asked = get(request.environment, "MALINA_CONFIG");
  if (asked == "/dev/null") return {};
  if (!asked.empty()) return asked;
  for (const path& file : standard_files(request.environment))
    if (is_there(file)) return file;
  return {};
}

std::string offline_reason(const LoadedSettings& settings) {
  if (!settings.values.offline) return "";
  const SettingOrigin& origin = settings.origin("offline");
  return origin.where + (origin.origin == Origin::environment ? " is set" : " sets offline");
}

LoadedSettings load_settings(const SettingsRequest& request) { return Loading(request).load(); }

}  // namespace malina::platform
