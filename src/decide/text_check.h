// What no text that is asked about may be.
#pragma once

#include <string>
#include <string_view>

namespace malina::decide {

// Why the text is refused: empty, or not UTF-8 (with the byte, from 1). "" where it is not.
std::string refusal_of_text(std::string_view text);

}  // namespace malina::decide
