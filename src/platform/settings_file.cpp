#include "platform/settings_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

// Headers alone: the library's own binary would be one more package to install beside the program.
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/near_match.h"
#include "platform/setting_value.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr std::uint64_t kMostBytes = 1 << 20;
// "a.a.a = 1" is a table in a table in a table. The library limits every other kind of nesting, and
// frees tables by recursion, which takes the stack.
constexpr std::ptrdiff_t kMostDots = 4096;

[[noreturn]] void fail(const std::string& label, const toml::source_region& source,
                       const std::string& message) {
  throw Error(Fault::invalid_argument, fmt::format("{}:{}: {}", label, source.begin.line, message));
}

// Short, on one line, as the file may have it.
std::string quoted(const toml::node& node) {
  constexpr std::size_t kMost = 60;
  std::ostringstream stream;
  node.visit([&](const auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (toml::is_table<Value>)
      stream << "a table";
    else if constexpr (toml::is_array<Value>)
      stream << "a list";
    else
      stream << value;
  });
  std::string text = stream.str();
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

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
      fail(label_, name.source(),
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
    fail(
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
      fail(label_, wrong.source(),
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
  if (std::count(text.begin(), text.end(), '.') > kMostDots)
    throw Error(Fault::invalid_argument,
                fmt::format("{}:1: it has more than {} dots, and each may begin a table inside of "
                            "another",
                            label, kMostDots));
  try {
    const toml::table root = toml::parse(text);
    return Reader(label).read(root);
  } catch (const toml::parse_error& error) {
    fail(label, error.source(), fmt::format("this is not TOML: {}", error.description()));
  }
}

std::vector<FileSetting> read_settings_file(const std::filesystem::path& path) {
  const base::File file = base::File::open(path);
  struct stat facts{};
  if (fstat(file.descriptor(), &facts) != 0)
    throw base::system_error("cannot examine " + file.name());
  // It says where the server listens, and with whose key.
  if ((facts.st_mode & S_IWOTH) != 0)
    throw Error(Fault::invalid_argument,
                fmt::format("{} is not read: every user of this machine may change it (its mode is "
                            "{:04o}); 'chmod o-w' it",
                            file.name(), facts.st_mode & 07777));
  const std::uint64_t size = file.size();
  if (size > kMostBytes)
    throw Error(Fault::invalid_argument,
                fmt::format("{} has {} bytes, and a configuration file has at most {}", file.name(),
                            size, kMostBytes));
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_settings(text, file.name());
}

}  // namespace malina::platform
