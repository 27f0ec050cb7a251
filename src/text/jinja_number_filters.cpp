// Filters that make numbers.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja_filter_table.h"
#include "text/jinja_operations.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

constexpr double kTwoTo127 = 170141183460469231731687303715884105728.0;

void no_exotic_digits(Runtime& runtime, std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const char32_t c = next_character(bytes, at);
    if (c >= 128 && is_decimal(c)) {
      runtime.unsupported("a number in digits beyond ASCII is not supported");
    }
  }
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// Without the underscores that Python allows between digits; nothing where one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result.push_back(text[i]);
      continue;
    }
    const auto alphanumeric = [](char c) {
      return digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    };
    const bool between =
        i > 0 && i + 1 < text.size() && alphanumeric(text[i - 1]) && alphanumeric(text[i + 1]);
    if (!between) return std::nullopt;
  }
  return result;
}

// int(text, base)
std::optional<Integer> parse_integer(Runtime& runtime, std::string_view text, Integer base) {
  if (base != 0 && (base < 2 || base > 36)) {
    return std::nullopt;  // Python raises a ValueError, which the filter catches
  }
  text = strip_space(text);
  no_exotic_digits(runtime, text);
  bool below = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    below = text[0] == '-';
    text.remove_prefix(1);
  }
  int radix = static_cast<int>(base);
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (radix == 0 || radix == marked)) {
      radix = marked;
      text.remove_prefix(2);
      if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    } else if (radix == 0 && text.find_first_not_of("0_") != std::string_view::npos) {
      return std::nullopt;  // 010 is no number in base 0
    }
  }
  if (radix == 0) radix = 10;
  const auto digits = without_underscores(text);
  if (!digits || digits->empty()) return std::nullopt;
  Integer value = 0;
  for (const char c : *digits) {
    int parsed = 0;
    if (std::from_chars(&c, &c + 1, parsed, radix).ec != std::errc()) return std::nullopt;
    if (__builtin_mul_overflow(value, Integer{radix}, &value) ||
        __builtin_add_overflow(value, Integer{parsed}, &value)) {
      runtime.unsupported("integers beyond 127 bits are not supported");
    }
  }
  return below ? -value : value;
}

// Beyond the range of a float, from_chars does not say on which side.
double beyond_range(std::string_view digits) {
  const auto exponent = digits.find_first_of("eE");
  if (exponent != std::string_view::npos) return digits[exponent + 1] == '-' ? 0.0 : HUGE_VAL;
  const auto first = digits.find_first_not_of('0');
  return digits[first] == '.' ? 0.0 : HUGE_VAL;
}

// float(text)
std::optional<double> parse_real(Runtime& runtime, std::string_view text) {
  text = strip_space(text);
  no_exotic_digits(runtime, text);
  bool below = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    below = text[0] == '-';
    text.remove_prefix(1);
  }
  std::string digits(text);
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  double value = 0;
  if (digits == "inf" || digits == "infinity") {
    value = HUGE_VAL;
  } else if (digits == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    for (std::size_t i = 0; i < digits.size(); ++i) {  // between digits only
      const bool between =
          i > 0 && i + 1 < digits.size() && digit(digits[i - 1]) && digit(digits[i + 1]);
      if (digits[i] == '_' && !between) return std::nullopt;
    }
    std::erase(digits, '_');
    if (digits.empty() || !(digit(digits[0]) || digits[0] == '.')) return std::nullopt;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                              std::chars_format::general);
    if (end != digits.data() + digits.size()) return std::nullopt;
    if (error == std::errc::result_out_of_range) {
      value = beyond_range(digits);
    } else if (error != std::errc()) {
      return std::nullopt;
    }
  }
  return below ? -value : value;
}

Integer truncated(Runtime& runtime, double value) {
  if (!std::isfinite(value)) runtime.fail("an infinite or undefined float has no integer");
  if (!(std::abs(value) < kTwoTo127)) {
    runtime.unsupported("integers beyond 127 bits are not supported");
  }
  return static_cast<Integer>(value);
}

Value to_integer(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "int", arguments, {"default", "base"});
  const auto otherwise = [&] { return given.value_or(0, Value::integer(0)); };
  switch (value.type()) {
    case Type::boolean:
    case Type::integer:
      return Value::integer(value.integer(), value.trusted());
    case Type::real:
      if (std::isnan(value.real())) return otherwise();
      return Value::integer(truncated(runtime, value.real()), value.trusted());
    case Type::text: {
      const Integer base =
          index_of(runtime, given.value_or(1, Value::integer(10)), "the base of int");
      const auto& text = *value.text();
      runtime.work(text.bytes().size());
      if (const auto parsed = parse_integer(runtime, text.bytes(), base)) {
        return Value::integer(*parsed, text.trusted());
      }
      const auto real = parse_real(runtime, text.bytes());
      if (!real || !std::isfinite(*real)) return otherwise();
      return Value::integer(truncated(runtime, *real), text.trusted());
    }
    case Type::undefined:
      runtime.fail(value.as<Undefined>().message);
    default:
      return otherwise();
  }
}

Value to_real_number(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "float", arguments, {"default"});
  if (value.is_number()) return Value::real(to_real(runtime, value), value.trusted());
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  if (value.is(Type::text)) {
    runtime.work(value.text()->bytes().size());
    if (const auto parsed = parse_real(runtime, value.text()->bytes())) {
      return Value::real(*parsed, value.text()->trusted());
    }
  }
  return given.value_or(0, Value::real(0.0));
}

Value absolute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "abs", arguments, {});
  if (!value.is_number()) runtime.fail(fmt::format("{} has no absolute value", type_name(value)));
  if (value.is(Type::real)) return Value::real(std::abs(value.real()), value.trusted());
  return value.integer() < 0 ? negative(runtime, value) : positive(runtime, value);
}

// Rounds the decimal digits `whole.fraction`, which are exact, half to even, to `places` behind the
// point (before it where negative).
std::string round_digits(std::string digits, Integer places) {
  const std::size_t point = digits.find('.');
  const Integer keep = static_cast<Integer>(point) + places;  // digits that stay
  digits.erase(point, 1);
  if (keep < 0) return "0";
  const auto kept = static_cast<std::size_t>(keep);
  if (kept >= digits.size()) return digits.insert(point, ".");
  const auto rest = std::string_view(digits).substr(kept);
  const bool beyond_half =
      rest[0] > '5' || (rest[0] == '5' && rest.find_first_not_of('0', 1) != std::string_view::npos);
  const bool odd = kept > 0 && (digits[kept - 1] - '0') % 2 == 1;
  const bool up = beyond_half || (rest[0] == '5' && odd);
  std::fill(digits.begin() + static_cast<std::ptrdiff_t>(kept), digits.end(), '0');
  std::size_t at = kept;
  std::size_t whole = point;
  while (up) {
    if (at == 0) {
      digits.insert(0, "1");
      ++whole;
      break;
    }
    if (digits[--at] != '9') {
      ++digits[at];
      break;
    }
    digits[at] = '0';
  }
  return digits.insert(whole, ".");
}

// float.__round__
double round_real(double value, Integer places) {
  if (!std::isfinite(value) || places > 330) return value;
  if (places < -330) return std::copysign(0.0, value);
  const std::string rounded = round_digits(fmt::format("{:.1080f}", std::abs(value)), places);
  double result = 0;
  std::from_chars(rounded.data(), rounded.data() + rounded.size(), result);
  return std::copysign(result, value);
}

Value round_integer(Runtime& runtime, const Value& value, Integer places) {
  if (places >= 0) return Value::integer(value.integer(), value.trusted());
  if (places < -37) return Value::integer(0, value.trusted());
  Integer unit = 1;
  for (Integer i = places; i < 0; ++i) unit *= 10;
  const Integer rest = (value.integer() % unit + unit) % unit;
  Integer down = 0;
  if (__builtin_sub_overflow(value.integer(), rest, &down)) {
    runtime.unsupported("integers beyond 127 bits are not supported");
  }
  const bool odd = (down / unit) % 2 != 0;
  const bool up = rest > unit - rest || (rest == unit - rest && odd);
  Integer result = down;
  if (up && __builtin_add_overflow(down, unit, &result)) {
    runtime.unsupported("integers beyond 127 bits are not supported");
  }
  return Value::integer(result, value.trusted());
}

Value round_number(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "round", arguments, {"precision", "method"});
  const Value precision = given.value_or(0, Value::integer(0));
  const Value method_value = given.value_or(1, Value::text("common"));
  const auto method = plain_text(runtime, method_value, "round")->bytes();
  if (method != "common" && method != "ceil" && method != "floor") {
    runtime.fail("the method of round is 'common', 'ceil' or 'floor'");
  }
  if (!value.is_number()) runtime.fail(fmt::format("{} cannot be rounded", type_name(value)));
  if (method == "common") {
    const Integer places = precision.is(Type::none) && !value.is(Type::real)
                               ? 0
                               : index_of(runtime, precision, "the precision of round");
    if (!value.is(Type::real)) return round_integer(runtime, value, places);
    return Value::real(round_real(value.real(), places), value.trusted());
  }
  const Value scale = compute(runtime, BinaryOperator::power, Value::integer(10), precision);
  Value scaled = compute(runtime, BinaryOperator::multiply, value, scale);
  if (scaled.is(Type::real)) {
    const double rounded = method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real());
    scaled = Value::integer(truncated(runtime, rounded), scaled.trusted());
  }
  return compute(runtime, BinaryOperator::divide, scaled, scale);
}

Value length_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "length", arguments, {});
  return Value::integer(static_cast<Integer>(length(runtime, value)));
}

constexpr FilterName kFilters[] = {
    {"abs", absolute},   {"count", length_filter},  {"float", to_real_number},
    {"int", to_integer}, {"length", length_filter}, {"round", round_number},
};

}  // namespace

std::span<const FilterName> number_filters() { return kFilters; }

}  // namespace malina::text::jinja
