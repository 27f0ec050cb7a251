// The values of one setting as text, and back.
#pragma once

#include <span>
#include <string>

#include "platform/settings.h"

namespace malina::platform {

// Puts `values` (one, or those of a list) where the setting is kept. Returns what is wrong with
// them, such as "is no duration: write 30s, ...", and then has changed nothing; or "".
std::string assign(const Setting& setting, std::span<const std::string> values, Settings& settings);

}  // namespace malina::platform
