#include "text/jinja_escape.h"

#include <fmt/format.h>

#include <charconv>

#include "text/jinja_lexer.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

// Python's encode("ascii", "backslashreplace"), which Jinja2 applies first. It shows: a backslash
// before a letter beyond ASCII escapes the backslash of that letter's own escape.
std::string to_ascii(std::string_view literal) {
  std::string result;
  result.reserve(literal.size());
  for (std::size_t at = 0; at < literal.size();) {
    const char32_t character = next_character(literal, at);
    if (character < 0x80) {
      result.push_back(static_cast<char>(character));
    } else {
      const auto value = static_cast<unsigned>(character);
      result += value < 0x100     ? fmt::format("\\x{:02x}", value)
                : value < 0x10000 ? fmt::format("\\u{:04x}", value)
                                  : fmt::format("\\U{:08x}", value);
    }
  }
  return result;
}

class Escapes {
 public:
  Escapes(std::string text, int line) : text_(std::move(text)), line_(line) {}

  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        escape(text_[at_++]);
      } else {
        result_.push_back(c);
      }
    }
    return std::move(result_);
  }

 private:
  void escape(char c) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n') return;
    if (const auto known = kFrom.find(c); known != std::string_view::npos) {
      result_.push_back(kTo[known]);
    } else if (c >= '0' && c <= '7') {
      octal(c);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      hexadecimal(c, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      refuse(base::Fault::unsupported, line_, "the escape \\N in a string is not supported");
    } else {
      result_.push_back('\\');
      result_.push_back(c);
    }
  }

  void octal(char first) {
    unsigned value = static_cast<unsigned>(first - '0');
    for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '7'; ++i) {
      value = value * 8 + static_cast<unsigned>(text_[at_++] - '0');
    }
    append_character(result_, value);
  }

  void hexadecimal(char kind, std::size_t digits) {
    std::uint32_t value = 0;
    const char* from = text_.data() + at_;
    const bool enough = at_ + digits <= text_.size();
    if (!enough || std::from_chars(from, from + digits, value, 16).ptr != from + digits ||
        value > 0x10FFFF) {
      refuse(base::Fault::corrupt_file, line_,
             fmt::format("the escape \\{} in a string is broken", kind));
    }
    if (value >= 0xD800 && value < 0xE000) {
      refuse(base::Fault::unsupported, line_, "a string holds half a surrogate pair");
    }
    at_ += digits;
    append_character(result_, value);
  }

  std::string text_;
  int line_;
  std::size_t at_ = 0;
  std::string result_;
};

}  // namespace

std::string resolve_escapes(std::string_view literal, int line) {
  return Escapes(to_ascii(literal), line).run();
}

}  // namespace malina::text::jinja
