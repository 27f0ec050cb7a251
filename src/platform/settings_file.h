// The configuration file: TOML, with the tables and keys of setting_table().
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "platform/settings.h"

namespace malina::platform {

struct FileSetting {
  const Setting* setting;
  std::vector<std::string> values;  // as the file has them, numbers in decimal
  std::string written;              // as an error quotes it: "5 minutes" with its quotes, 80
  unsigned line;
};

// Reads at most a megabyte. Throws base::Error(invalid_argument) "FILE:LINE: ..." for what is no
// TOML, a table or key that is not in setting_table(), and a value of another type than the
// setting's; also where everybody may write the file. not_found and io as base::File.
std::vector<FileSetting> read_settings_file(const std::filesystem::path& file);

// The same for a text; `label` begins the messages.
std::vector<FileSetting> parse_settings(std::string_view text, const std::string& label);

}  // namespace malina::platform
