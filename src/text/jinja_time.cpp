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

}  // namespace

TextPointer format_time(Runtime& runtime, const Text& format, const std::tm& time,
                        std::int64_t microseconds) {
  static constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY";
  const PlainLocale locale;
  TextBuilder out(runtime);
  const auto bytes = format.bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const bool trusted = format.trusted_at(at);
    if (bytes[at] != '%') {
      out.add(bytes.substr(at, 1), trusted);
      continue;
    }
    const char directive = ++at < bytes.size() ? bytes[at] : '\0';
    if (directive == '%') {
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
