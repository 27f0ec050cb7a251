// The settings (platform/settings.h) as options of a command.
//
//   Action setup(CLI::App& cli) {
//     auto options = std::make_shared<SettingOptions>();
//     add_serve_options(cli, *options);
//     return [options](Session& session) {
//       const platform::LoadedSettings settings = resolve(*options, session);
//       serve(session.platform(), settings.values.serve);  // its home is that of the settings
//     };
//   }
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <utility>
#include <vector>

#include "app/command.h"
#include "platform/settings.h"

namespace malina::app {

struct SettingOptions {
  std::string file;  // --config
  std::vector<std::pair<const platform::Setting*, const CLI::Option*>> declared;
};

// --config FILE, and one option for each setting of [serve].
void add_serve_options(CLI::App& cli, SettingOptions& options);

// Options, environment, file and defaults; warnings go to standard error, a line each. The
// session's platform is built with these settings, so this is to be called before
// session.platform(). Throws as load_settings.
platform::LoadedSettings resolve(const SettingOptions& options, Session& session);

}  // namespace malina::app
