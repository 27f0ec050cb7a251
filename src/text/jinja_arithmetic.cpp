// Computing with numbers, and joining and repeating texts and lists.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "text/jinja_format.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace malina::text::jinja {
namespace {

constexpr std::string_view kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void no_operation(Runtime& runtime, BinaryOperator operation, const Value& left,
                               const Value& right) {
  for (const auto* value : {&left, &right}) {
    if (value->is(Type::undefined)) runtime.fail(value->as<Undefined>().message);
  }
  if (operation == BinaryOperator::add && left.is(Type::text)) {
    runtime.fail(fmt::format("a str can only be joined to a str, not to {}", type_name(right)));
  }
  runtime.fail(fmt::format("'{}' is not defined between {} and {}",
                           kSigns[static_cast<std::size_t>(operation)], type_name(left),
                           type_name(right)));
}

[[noreturn]] void too_large(Runtime& runtime) {
  runtime.unsupported("integers beyond 127 bits are not supported");
}

Integer power(Runtime& runtime, Integer base, Integer exponent) {
  Integer result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large(runtime);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
      if (base == 0 || base == 1) continue;
      too_large(runtime);
    }
  }
  return result;
}

Integer floor_quotient(Integer left, Integer right) {
  const Integer quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

Value integer_division(Runtime& runtime, BinaryOperator operation, Integer a, Integer b,
                       bool trusted) {
  if (b == 0) runtime.fail("division by zero");
  if (b == -1 && a == std::numeric_limits<Integer>::min()) too_large(runtime);
  if (operation == BinaryOperator::divide) {
    constexpr Integer kExact = Integer{1} << 53;  // up to which both are floats without rounding
    if (a > kExact || a < -kExact || b > kExact || b < -kExact) {
      runtime.unsupported("dividing integers beyond 2**53 is not supported");
    }
    return Value::real(static_cast<double>(a) / static_cast<double>(b), trusted);
  }
  const Integer quotient = floor_quotient(a, b);
  if (operation == BinaryOperator::floor_divide) return Value::integer(quotient, trusted);
  return Value::integer(a - quotient * b, trusted);
}

Value real_power(Runtime& runtime, double a, double b, bool trusted) {
  if (a == 0 && b < 0) runtime.fail("zero cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::trunc(b) != b) {
    runtime.unsupported("complex numbers are not supported");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    runtime.fail("a power is too large for a float");
  }
  return Value::real(result, trusted);
}

Value integers(Runtime& runtime, BinaryOperator operation, Integer a, Integer b, bool trusted) {
  Integer result = 0;
  bool overflow = false;
  switch (operation) {
    case BinaryOperator::add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOperator::subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOperator::multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOperator::power:
      if (b < 0) {
        return real_power(runtime, static_cast<double>(a), static_cast<double>(b), trusted);
      }
      result = power(runtime, a, b);
      break;
    default:
      return integer_division(runtime, operation, a, b, trusted);
  }
  if (overflow) too_large(runtime);
  return Value::integer(result, trusted);
}

// Python's float_divmod: the remainder has the sign of the divisor.
double real_modulo(double a, double b) {
  double remainder = std::fmod(a, b);
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) remainder += b;
  } else {
    remainder = std::copysign(0.0, b);
  }
  return remainder;
}

double real_floor_quotient(double a, double b) {
  const double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (b < 0) != (remainder < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value reals(Runtime& runtime, BinaryOperator operation, double a, double b, bool trusted) {
  const auto divisor = [&] {
    if (b == 0) runtime.fail("division by zero");
    return b;
  };
  switch (operation) {
    case BinaryOperator::add:
      return Value::real(a + b, trusted);
    case BinaryOperator::subtract:
      return Value::real(a - b, trusted);
    case BinaryOperator::multiply:
      return Value::real(a * b, trusted);
    case BinaryOperator::divide:
      return Value::real(a / divisor(), trusted);
    case BinaryOperator::floor_divide:
      return Value::real(real_floor_quotient(a, divisor()), trusted);
    case BinaryOperator::modulo:
      return Value::real(real_modulo(a, divisor()), trusted);
    default:
      return real_power(runtime, a, b, trusted);
  }
}

Value joined(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is(Type::text)) {
    // Text marked safe escapes what it is joined to, and the whole is safe.
    const bool markup = left.text()->markup() || right.text()->markup();
    TextBuilder result(runtime);
    result.add(markup ? *escape_html(runtime, left.text()) : *left.text());
    result.add(markup ? *escape_html(runtime, right.text()) : *right.text());
    return Value::text(result.finish(markup));
  }
  Values items = left.as<List>().items;
  const auto& more = right.as<List>().items;
  runtime.work((items.size() + more.size()) * sizeof(Value));
  items.insert(items.end(), more.begin(), more.end());
  return make_list(runtime, std::move(items), left.trusted() && right.trusted(), left.type());
}

Value repeated(Runtime& runtime, const Value& value, const Value& count) {
  const Integer times = count.integer();
  if (value.is(Type::text)) {
    const auto& text = plain_text(runtime, value, "'*'");
    TextBuilder result(runtime);
    if (!text->bytes().empty()) {
      for (Integer i = 0; i < times; ++i) result.add(*text);
    }
    return Value::text(result.finish());
  }
  Values items;
  const auto& source = value.as<List>().items;
  for (Integer i = 0; i < times && !source.empty(); ++i) {
    runtime.work(source.size() * sizeof(Value));
    items.insert(items.end(), source.begin(), source.end());
  }
  return make_list(runtime, std::move(items), value.trusted(), value.type());
}

bool sequence(const Value& value) {
  return value.is(Type::text) || value.is(Type::list) || value.is(Type::tuple);
}
bool whole(const Value& value) { return value.is(Type::integer) || value.is(Type::boolean); }

}  // namespace

double to_real(Runtime& runtime, const Value& number) {
  if (number.is(Type::real)) return number.real();
  if (!whole(number)) runtime.fail(fmt::format("a number is needed, not {}", type_name(number)));
  return static_cast<double>(number.integer());
}

Value compute(Runtime& runtime, BinaryOperator operation, const Value& left, const Value& right) {
  runtime.step();
  if (left.is_number() && right.is_number()) {
    const bool trusted = left.trusted() && right.trusted();
    if (whole(left) && whole(right)) {
      return integers(runtime, operation, left.integer(), right.integer(), trusted);
    }
    return reals(runtime, operation, to_real(runtime, left), to_real(runtime, right), trusted);
  }
  if (operation == BinaryOperator::add && sequence(left) && left.type() == right.type()) {
    return joined(runtime, left, right);
  }
  if (operation == BinaryOperator::multiply && sequence(left) && whole(right)) {
    return repeated(runtime, left, right);
  }
  if (operation == BinaryOperator::multiply && whole(left) && sequence(right)) {
    return repeated(runtime, right, left);
  }
  if (operation == BinaryOperator::modulo && left.is(Type::text)) {
    return formatted(runtime, left, right);
  }
  no_operation(runtime, operation, left, right);
}

Value negative(Runtime& runtime, const Value& value) {
  if (value.is(Type::real)) return Value::real(-value.real(), value.trusted());
  if (whole(value)) {
    if (value.integer() == std::numeric_limits<Integer>::min()) too_large(runtime);
    return Value::integer(-value.integer(), value.trusted());
  }
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  runtime.fail(fmt::format("{} cannot be negated", type_name(value)));
}

Value positive(Runtime& runtime, const Value& value) {
  if (value.is(Type::real)) return value;
  if (whole(value)) return Value::integer(value.integer(), value.trusted());
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  runtime.fail(fmt::format("'+' is not defined for {}", type_name(value)));
}

}  // namespace malina::text::jinja
