// The tests: what may follow `is`.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja_filters.h"
#include "text/jinja_operations.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

void no_arguments(Runtime& runtime, const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.named.empty()) {
    runtime.fail("the test takes no arguments");
  }
}

template <typename Predicate>
bool plain(Runtime& runtime, const Arguments& arguments, Predicate predicate) {
  no_arguments(runtime, arguments);
  return predicate();
}

template <Type... types>
bool has_type(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments, [&] { return (value.is(types) || ...); });
}

template <bool wanted>
bool is_boolean(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments,
               [&] { return value.is(Type::boolean) && value.boolean() == wanted; });
}

bool is_defined(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments, [&] { return !value.is(Type::undefined); });
}

bool is_sequence(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments,
               [&] { return length_of(value).has_value() && !value.is(Type::view); });
}

bool is_iterable(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments, [&] { return iterable(value); });
}

bool is_escaped(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return plain(runtime, arguments, [&] { return value.is(Type::text) && value.text()->markup(); });
}

template <Integer divisor, Integer rest>
bool has_rest(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments(runtime, arguments);
  const Value remainder = compute(runtime, BinaryOperator::modulo, value, Value::integer(divisor));
  return equal(runtime, remainder, Value::integer(rest));
}

bool is_divisible(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "divisibleby", arguments, {"num"}, 1);
  return equal(runtime, compute(runtime, BinaryOperator::modulo, value, given[0]),
               Value::integer(0));
}

template <Comparison comparison>
bool compares(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "a comparison", arguments, {"other"}, 1);
  return compare(runtime, comparison, value, given[0]);
}

bool is_same(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "sameas", arguments, {"other"}, 1);
  if (value.type() != given[0].type()) return false;
  switch (value.type()) {
    case Type::none:
      return true;
    case Type::boolean:
      return value.boolean() == given[0].boolean();
    case Type::integer:
    case Type::real:
    case Type::text:
      runtime.unsupported("'is sameas' with numbers and texts is not supported");
    default:
      return value.object() == given[0].object();
  }
}

// str.islower, str.isupper: at least one letter has a case, and all that have one have this one.
template <bool lower>
bool has_case(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments(runtime, arguments);
  const auto text = to_text(runtime, value);
  runtime.work(text->bytes().size());
  bool found = false;
  for (std::size_t at = 0; at < text->bytes().size();) {
    const char32_t c = next_character(text->bytes(), at);
    if (is_title(c) || (lower ? is_upper(c) : is_lower(c))) return false;
    found = found || (lower ? is_lower(c) : is_upper(c));
  }
  return found;
}

bool is_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments(runtime, arguments);
  hash_of(runtime, value);  // Python looks it up in a dict
  return value.is(Type::text) && find_filter(value.text()->bytes()) != nullptr;
}

bool is_test(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments(runtime, arguments);
  hash_of(runtime, value);
  return value.is(Type::text) && find_test(value.text()->bytes()) != nullptr;
}

struct Entry {
  std::string_view name;
  TestFunction function;
};

constexpr auto is_less = compares<Comparison::less>;
constexpr auto is_greater = compares<Comparison::greater>;
constexpr auto is_equal = compares<Comparison::equal>;

constexpr Entry kTests[] = {
    {"!=", compares<Comparison::not_equal>},
    {"<", is_less},
    {"<=", compares<Comparison::less_equal>},
    {"==", is_equal},
    {">", is_greater},
    {">=", compares<Comparison::greater_equal>},
    {"boolean", has_type<Type::boolean>},
    {"callable", has_type<Type::macro, Type::method, Type::function, Type::undefined, Type::loop>},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", is_escaped},
    {"even", has_rest<2, 0>},
    {"false", is_boolean<false>},
    {"filter", is_filter},
    {"float", has_type<Type::real>},
    {"ge", compares<Comparison::greater_equal>},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", compares<Comparison::in>},
    {"integer", has_type<Type::integer>},
    {"iterable", is_iterable},
    {"le", compares<Comparison::less_equal>},
    {"lessthan", is_less},
    {"lower", has_case<true>},
    {"lt", is_less},
    {"mapping", has_type<Type::dict>},
    {"ne", compares<Comparison::not_equal>},
    {"none", has_type<Type::none>},
    {"number", has_type<Type::boolean, Type::integer, Type::real>},
    {"odd", has_rest<2, 1>},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", has_type<Type::text>},
    {"test", is_test},
    {"true", is_boolean<true>},
    {"undefined", has_type<Type::undefined>},
    {"upper", has_case<false>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const auto& entry : kTests) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace malina::text::jinja
