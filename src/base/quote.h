// Text from a file as it may stand in a message: the file is hostile, the terminal is not.
#pragma once

#include <string>
#include <string_view>

namespace malina::base {

// The bytes between single quotes; what is not printable ASCII as \xNN, long text cut with "...".
std::string in_quotes(std::string_view bytes);

}  // namespace malina::base
