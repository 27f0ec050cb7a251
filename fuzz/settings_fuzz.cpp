// A configuration file. Whatever is accepted is a value that is shown in a way that reads back.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/quantity.h"
#include "finding.h"
#include "platform/setting_value.h"
#include "platform/settings_file.h"

namespace {

using namespace malina;
using namespace malina::platform;
using fuzz::require;

void check_quantities(std::string_view text) {
  if (const auto duration = base::parse_duration(text)) {
    require(duration->count() >= 0 && *duration <= base::kLongestDuration);
    require(base::parse_duration(base::duration_text(*duration)) == duration);
  }
  if (const auto size = base::parse_size(text))
    require(base::parse_size(base::size_text(*size)) == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_quantities(bytes);
  try {
    Settings settings;
    for (const FileSetting& entry : parse_settings(bytes, "file")) {
      const Setting& setting = *entry.setting;
      for (const std::string& value : entry.values) check_quantities(value);
      if (!assign(setting, entry.values, settings).empty()) continue;
      if (setting.type == SettingType::list) continue;
      const std::string shown = value_text(setting, settings);
      require(assign(setting, std::vector{shown}, settings).empty());
      require(value_text(setting, settings) == shown);
    }
  } catch (const base::Error& error) {
    require(error.fault() == base::Fault::invalid_argument);
    require(std::string_view(error.what()).starts_with("file:"));
  }
  return 0;
}
