// Methods by what they are called.
#pragma once

#include <optional>
#include <string_view>

#include "tune/tuning_report.h"

namespace malina::platform {

// Of those that may be asked for, but `auto`; nullopt where none is called so.
std::optional<tune::Method> method_named(std::string_view text);

}  // namespace malina::platform
