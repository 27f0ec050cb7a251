#include "text/jinja_format.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdio>

#include "text/jinja_operations.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

constexpr int kWidest = 1000;  // of a number's digits; wider fields are not for chats

struct Directive {
  bool left = false, sign = false, space = false, zero = false, alternate = false;
  std::optional<std::size_t> width, precision;
  char conversion = '\0';
};

class Formatter {
 public:
  Formatter(Runtime& runtime, const Text& format, const Value& values)
      : runtime_(runtime), format_(format), values_(values), out_(runtime) {}

  TextPointer run() {
    const auto bytes = format_.bytes();
    while (at_ < bytes.size()) {
      const std::size_t mark = std::min(bytes.find('%', at_), bytes.size());
      out_.add(format_, at_, mark);
      at_ = mark;
      if (at_ < bytes.size()) directive();
    }
    check_all_used();
    return out_.finish();
  }

 private:
  char take() {
    if (at_ >= format_.bytes().size()) runtime_.fail("a format ends inside a directive");
    return format_.bytes()[at_++];
  }

  void directive();
  void named();
  std::optional<std::size_t> number(char& c);
  Value next_value();
  void check_all_used() const;
  void write(const Directive& directive, const Value& value, bool trusted);
  void write_padded(const Directive& directive, TextPointer text);
  std::string digits(const Directive& directive, const Value& value) const;
  std::string integer_digits(const Directive& directive, const Value& value) const;
  std::string real_digits(const Directive& directive, double value) const;
  Integer integer_of(const Value& value, char conversion) const;

  Runtime& runtime_;
  const Text& format_;
  const Value& values_;
  TextBuilder out_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
  std::optional<Value> by_name_;
  bool has_names_ = false;
};

void Formatter::directive() {
  const bool trusted = format_.trusted_at(at_);
  ++at_;
  Directive directive;
  by_name_.reset();
  char c = take();
  if (c == '(') {
    named();
    c = take();
  }
  for (;; c = take()) {
    if (c == '-')
      directive.left = true;
    else if (c == '+')
      directive.sign = true;
    else if (c == ' ')
      directive.space = true;
    else if (c == '0')
      directive.zero = true;
    else if (c == '#')
      directive.alternate = true;
    else
      break;
  }
  directive.width = number(c);
  if (c == '.') {
    c = take();
    directive.precision = number(c).value_or(0);
  }
  if (c == 'h' || c == 'l' || c == 'L') c = take();
  directive.conversion = c;
  if (c == '%') {
    out_.add("%", trusted);
    return;
  }
  write(directive, by_name_ ? *by_name_ : next_value(), trusted);
}

void Formatter::named() {
  const auto close = format_.bytes().find(')', at_);
  if (close == std::string_view::npos) runtime_.fail("a name in a format is not closed");
  if (!values_.is(Type::dict)) runtime_.fail("a format with names needs a dict");
  const auto name = format_.bytes().substr(at_, close - at_);
  const Value* found = values_.as<Dict>().find(name);
  if (found == nullptr) runtime_.fail(fmt::format("a format names '{}', which is not there", name));
  at_ = close + 1;
  by_name_ = *found;
  has_names_ = true;
}

std::optional<std::size_t> Formatter::number(char& c) {
  if (c == '*') runtime_.unsupported("'*' in a format is not supported");
  if (c < '0' || c > '9') return std::nullopt;
  std::size_t value = 0;
  while (c >= '0' && c <= '9') {
    value = value * 10 + static_cast<std::size_t>(c - '0');
    runtime_.check_length(value);
    c = take();
  }
  return value;
}

Value Formatter::next_value() {
  if (values_.is(Type::tuple)) {
    const auto& items = values_.as<List>().items;
    if (used_ >= items.size()) runtime_.fail("a format has too few values");
    return items[used_++];
  }
  if (used_++ > 0) runtime_.fail("a format has too few values");
  return values_;
}

// Python does not mind a mapping or a list that is not used.
void Formatter::check_all_used() const {
  if (has_names_) return;
  bool left = false;
  switch (values_.type()) {
    case Type::tuple:
      left = used_ < values_.as<List>().items.size();
      break;
    case Type::list:
    case Type::dict:
    case Type::range:
    case Type::undefined:
      break;
    default:
      left = used_ == 0;
  }
  if (left) runtime_.fail("a format does not use all its values");
}

void Formatter::write_padded(const Directive& directive, TextPointer text) {
  const auto width = static_cast<Integer>(directive.width.value_or(0));
  out_.add(*pad(runtime_, text, width, Text(" ", true),
                directive.left ? Padding::right : Padding::left));
}

void Formatter::write(const Directive& directive, const Value& value, bool trusted) {
  if (directive.conversion == 's' || directive.conversion == 'r') {
    TextBuilder text(runtime_);
    if (directive.conversion == 's') {
      append_string(runtime_, text, value);
    } else {
      append_representation(runtime_, text, value);
    }
    auto whole = text.finish();
    if (directive.precision && *directive.precision < whole->characters()) {
      whole = part_of(runtime_, whole, 0, whole->byte_of(*directive.precision));
    }
    return write_padded(directive, whole);
  }
  if (directive.conversion == 'c') {
    if (!value.is(Type::text) || value.text()->characters() != 1) {
      runtime_.unsupported("'%c' with other than one character is not supported");
    }
    return write_padded(directive, value.text());
  }
  const std::string text = digits(directive, value);
  write_padded(directive, std::make_shared<const Text>(text, trusted && value.trusted()));
}

Integer Formatter::integer_of(const Value& value, char conversion) const {
  if (value.is(Type::integer) || value.is(Type::boolean)) return value.integer();
  if (value.is(Type::real) && (conversion == 'd' || conversion == 'i' || conversion == 'u')) {
    if (!(std::abs(value.real()) < 0x1p126)) runtime_.fail("a float is too large for '%d'");
    return static_cast<Integer>(value.real());
  }
  runtime_.fail(fmt::format("'%{}' needs a number, not {}", conversion, type_name(value)));
}

std::string Formatter::integer_digits(const Directive& directive, const Value& value) const {
  Integer number = integer_of(value, directive.conversion);
  const char conversion = directive.conversion;
  if (conversion == 'd' || conversion == 'i' || conversion == 'u') {
    std::string text = integer_to_string(number);
    return text.front() == '-' ? text.substr(1) : text;
  }
  const unsigned base = conversion == 'o' ? 8 : 16;
  const std::string_view alphabet = conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string text;
  if (number < 0) number = -number;
  do {
    text.insert(text.begin(), alphabet[static_cast<std::size_t>(number % base)]);
    number /= base;
  } while (number != 0);
  return text;
}

std::string Formatter::real_digits(const Directive& directive, double value) const {
  const std::string pattern =
      fmt::format("%{}.*{}", directive.alternate ? "#" : "", directive.conversion);
  const auto precision = directive.precision.value_or(6);
  if (precision > kWidest) runtime_.unsupported("so precise a format is not supported");
  std::array<char, 2048> buffer;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int length = std::snprintf(buffer.data(), buffer.size(), pattern.c_str(),
                                   static_cast<int>(precision), std::abs(value));
#pragma GCC diagnostic pop
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

std::string Formatter::digits(const Directive& directive, const Value& value) const {
  static constexpr std::string_view kIntegers = "diuxXo";
  static constexpr std::string_view kReals = "fFeEgG";
  std::string text;
  bool below = false;
  bool finite = true;
  if (kIntegers.find(directive.conversion) != std::string_view::npos) {
    text = integer_digits(directive, value);
    below = value.is(Type::real) ? value.real() <= -1 : value.integer() < 0;
    if (directive.precision) {
      if (*directive.precision > kWidest) runtime_.unsupported("so wide a format is not supported");
      if (text.size() < *directive.precision) {
        text.insert(0, *directive.precision - text.size(), '0');
      }
    }
    if (directive.alternate) runtime_.unsupported("'#' in a format is not supported");
  } else if (kReals.find(directive.conversion) != std::string_view::npos) {
    const double number = to_real(runtime_, value);
    text = real_digits(directive, number);
    below = std::signbit(number) && !std::isnan(number);
    finite = std::isfinite(number);
  } else {
    runtime_.unsupported(fmt::format("'%{}' in a format is not supported", directive.conversion));
  }
  const std::string sign = below ? "-" : directive.sign ? "+" : directive.space ? " " : "";
  const std::size_t width = directive.width.value_or(0);
  if (directive.zero && !directive.left && finite && sign.size() + text.size() < width) {
    if (width > kWidest) runtime_.unsupported("so wide a format is not supported");
    text.insert(0, width - sign.size() - text.size(), '0');
  }
  return sign + text;
}

}  // namespace

Value formatted(Runtime& runtime, const Value& format, const Value& values) {
  const auto& text = plain_text(runtime, format, "a format");
  return Value::text(Formatter(runtime, *text, values).run());
}

}  // namespace malina::text::jinja
