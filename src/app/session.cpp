#include "app/command.h"
#include "base/error.h"
#include "platform/settings.h"

namespace malina::app {

void Session::use(const platform::LoadedSettings& settings) {
  if (platform_)
    throw base::Error(base::Fault::internal, "settings come before what is built with them");
  platform_.emplace(settings.values.home, platform::offline_reason(settings));
}

platform::Platform& Session::platform() {
  if (!platform_)
    use(platform::load_settings({.file = {},
                                 .environment = platform::process_environment(),
                                 .general_only = true,
                                 .options = {}}));
  return *platform_;
}

}  // namespace malina::app
