#include "decide/text_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/unicode.h"

namespace malina::decide {

std::string refusal_of_text(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return "the text is empty";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = text::valid_character(text.substr(at));
    if (length == 0)
      return fmt::format("the text is not valid UTF-8: its byte {} is 0x{:02x}", at + 1,
                         static_cast<unsigned char>(text[at]));
    at += length;
  }
  return "";
}

}  // namespace malina::decide
