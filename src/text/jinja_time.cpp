#include <fmt/format.h>
#include <locale.h>

#include <array>
#include <ctime>

#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

// The C locale, whatever the program's own is.
class PlainLocale {
 public:
  PlainLocale() : locale_(newlocale(LC_ALL_MASK, "C", nullptr)) {}
  ~PlainLocale() {
    if (locale_ != nullptr) freelocale(locale_);
  }
  PlainLocale(const PlainLocale&) = delete;
  PlainLocale& operator=(const PlainLocale&) = delete;

  std::string format(char directive, const std::tm& time) const {
    const std::array<char, 3> pattern = {'%', directive, '\0'};
    std::array<char, 128> buffer;
    const std::size_t length = locale_ == nullptr ? 0
                                                  : strftime_l(buffer.data(), buffer.size(),
                                                               pattern.data(), &time, locale_);
    return std::string(buffer.data(), length);
  }

 private:
  locale_t locale_;
};

// %-d and its like, as the C library of Linux has them: without what fills a number up.
std::string unpadded(std::string number) {
  const std::size_t digit = number.find_first_not_of(" 0");
  return digit == std::string::npos ? "0" : number.substr(digit);
}

}  // namespace

TextPointer format_time(Runtime& runtime, const Text& format, const std::tm& time,
                        std::int64_t microseconds) {
  static constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY";
  static constexpr std::string_view kNumbers = "deHIjklmMSy";
  const PlainLocale locale;
  TextBuilder out(runtime);
  const auto bytes = format.bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const bool trusted = format.trusted_at(at);
    if (bytes[at] != '%') {
      out.add(bytes.substr(at, 1), trusted);
      continue;
    }
    char directive = ++at < bytes.size() ? bytes[at] : '\0';
    if (directive == '-' && at + 1 < bytes.size() &&
        kNumbers.find(bytes[at + 1]) != std::string_view::npos) {
      directive = bytes[++at];
      out.add(unpadded(locale.format(directive, time)), trusted);
    } else if (directive == '%') {
      out.add("%", trusted);
    } else if (directive == 'f') {
      out.add(fmt::format("{:06}", microseconds), trusted);
    } else if (directive == 'z' || directive == 'Z') {
      continue;  // a time without a zone
    } else if (kDirectives.find(directive) != std::string_view::npos && directive != '\0') {
      out.add(locale.format(directive, time), trusted);
    } else {
      runtime.unsupported("strftime_now() with a directive other than those of C is not supported");
    }
  }
  return out.finish();
}

}  // namespace malina::text::jinja
