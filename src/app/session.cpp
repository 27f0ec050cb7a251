#include "app/command.h"

namespace malina::app {

platform::Platform& Session::platform() {
  if (!platform_) platform_.emplace(platform::home_from_environment());
  return *platform_;
}

}  // namespace malina::app
