#include "base/quote.h"

#include <fmt/format.h>

namespace malina::base {

std::string in_quotes(std::string_view bytes) {
  constexpr std::size_t kLongest = 80;
  std::string text = "'";
  for (const char c : bytes.substr(0, kLongest)) {
    const bool plain = c >= 0x20 && c < 0x7f && c != '\'' && c != '\\';
    if (plain)
      text += c;
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text + (bytes.size() > kLongest ? "...'" : "'");
}

}  // namespace malina::base
