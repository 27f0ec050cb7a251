// Truth, equality, order, hashes and membership, as Python has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

enum class Order { less, equal, greater, none };  // none: a NaN is involved

template <typename T>
Order order_of(const T& left, const T& right) {
  return left < right ? Order::less : right < left ? Order::greater : Order::equal;
}

// Exactly, as Python does: the integer is not rounded to a float.
Order order_of(Integer left, double right) {
  constexpr double kTwoTo127 = 170141183460469231731687303715884105728.0;
  if (std::isnan(right)) return Order::none;
  if (right >= kTwoTo127) return Order::less;
  if (right < -kTwoTo127) return Order::greater;
  const double whole = std::trunc(right);
  const Order order = order_of(left, static_cast<Integer>(whole));
  return order == Order::equal ? order_of(0.0, right - whole) : order;
}

Order reversed(Order order) {
  return order == Order::less ? Order::greater : order == Order::greater ? Order::less : order;
}

Order number_order(const Value& left, const Value& right) {
  const bool left_real = left.is(Type::real);
  if (left_real && right.is(Type::real)) {
    if (std::isnan(left.real()) || std::isnan(right.real())) return Order::none;
    return order_of(left.real(), right.real());
  }
  if (left_real) return reversed(order_of(right.integer(), left.real()));
  if (right.is(Type::real)) return order_of(left.integer(), right.real());
  return order_of(left.integer(), right.integer());
}

bool holds(Comparison comparison, Order order) {
  switch (comparison) {
    case Comparison::less:
      return order == Order::less;
    case Comparison::less_equal:
      return order == Order::less || order == Order::equal;
    case Comparison::greater:
      return order == Order::greater;
    default:
      return order == Order::greater || order == Order::equal;
  }
}

const Values& items_of(const Value& list) { return list.as<List>().items; }

bool same_or_equal(Runtime& runtime, const Value& left, const Value& right) {
  if (left.object() && left.object() == right.object() && left.type() == right.type()) return true;
  return equal(runtime, left, right);
}

bool equal_lists(Runtime& runtime, const Values& left, const Values& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](const Value& a, const Value& b) { return same_or_equal(runtime, a, b); });
}

bool equal_dicts(Runtime& runtime, const Dict& left, const Dict& right) {
  if (left.items.size() != right.items.size()) return false;
  return std::all_of(left.items.begin(), left.items.end(), [&](const auto& item) {
    const Value* other = right.find(runtime, item.first);
    return other != nullptr && same_or_equal(runtime, item.second, *other);
  });
}

bool equal_ranges(const Range& left, const Range& right) {
  const Integer size = left.size();
  if (size != right.size()) return false;
  return size == 0 || (left.start == right.start && (size == 1 || left.step == right.step));
}

bool ordered_lists(Runtime& runtime, Comparison comparison, const Values& left,
                   const Values& right) {
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (!same_or_equal(runtime, left[i], right[i])) {
      return compare(runtime, comparison, left[i], right[i]);
    }
  }
  return holds(comparison, order_of(left.size(), right.size()));
}

bool ordered(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  runtime.step();
  if (left.is_number() && right.is_number()) return holds(comparison, number_order(left, right));
  if (left.is(Type::text) && right.is(Type::text)) {
    runtime.work(std::min(left.text()->bytes().size(), right.text()->bytes().size()));
    // The order of UTF-8 bytes is that of the characters.
    return holds(comparison, order_of(left.text()->bytes(), right.text()->bytes()));
  }
  if (left.type() == right.type() && (left.is(Type::list) || left.is(Type::tuple))) {
    return ordered_lists(runtime, comparison, items_of(left), items_of(right));
  }
  for (const auto* value : {&left, &right}) {
    if (value->is(Type::undefined)) runtime.fail(value->as<Undefined>().message);
  }
  if (left.type() == right.type() && left.is(Type::view)) {
    runtime.unsupported("comparing the views of two dicts is not supported");
  }
  runtime.fail(fmt::format("{} and {} have no order", type_name(left), type_name(right)));
}

bool in_range(const Range& range, const Value& item) {
  Integer wanted = item.integer();
  if (item.is(Type::real)) {
    if (std::trunc(item.real()) != item.real() || std::abs(item.real()) > 0x1p100) return false;
    wanted = static_cast<Integer>(item.real());
  }
  const bool within = range.step > 0 ? wanted >= range.start && wanted < range.stop
                                     : wanted <= range.start && wanted > range.stop;
  return within && (wanted - range.start) % range.step == 0;
}

bool in_items(Runtime& runtime, const Value& container, const Value& item) {
  const auto items = iterate(runtime, container);
  for (Value candidate; items->next(runtime, candidate);) {
    runtime.step();
    if (same_or_equal(runtime, candidate, item)) return true;
  }
  return false;
}

std::size_t mix(std::size_t seed, std::size_t added) {
  return (seed ^ added) * 0x9E3779B97F4A7C15ULL + (seed >> 17);
}

std::size_t hash_of_integer(Integer value) {
  return mix(static_cast<std::size_t>(value), static_cast<std::size_t>(value >> 64));
}

std::size_t hash_of_real(double value) {
  if (std::trunc(value) == value && std::abs(value) < 0x1p126) {
    return hash_of_integer(static_cast<Integer>(value));  // 1.0 and 1 are one key
  }
  return std::hash<double>()(value);
}

}  // namespace

bool truth(Runtime& runtime, const Value& value) {
  switch (value.type()) {
    case Type::none:
      return false;
    case Type::boolean:
    case Type::integer:
      return value.integer() != 0;
    case Type::real:
      return value.real() != 0;
    case Type::text:
    case Type::list:
    case Type::tuple:
    case Type::dict:
    case Type::range:
    case Type::view:
    case Type::undefined:
      return length(runtime, value) != 0;
    default:
      return true;
  }
}

bool equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.step();
  if (left.is_number() && right.is_number()) return number_order(left, right) == Order::equal;
  if (left.type() != right.type()) return false;
  switch (left.type()) {
    case Type::undefined:
    case Type::none:
      return true;
    case Type::text:
      runtime.work(std::min(left.text()->bytes().size(), right.text()->bytes().size()));
      return left.text()->bytes() == right.text()->bytes();
    case Type::list:
    case Type::tuple:
      return equal_lists(runtime, items_of(left), items_of(right));
    case Type::dict:
      return equal_dicts(runtime, left.as<Dict>(), right.as<Dict>());
    case Type::range:
      return equal_ranges(left.as<Range>(), right.as<Range>());
    case Type::view:
      if (left.object() == right.object()) return true;
      runtime.unsupported("comparing the views of two dicts is not supported");
    default:
      return left.object() == right.object();
  }
}

bool less(Runtime& runtime, const Value& left, const Value& right) {
  return ordered(runtime, Comparison::less, left, right);
}

bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::equal:
      return equal(runtime, left, right);
    case Comparison::not_equal:
      return !equal(runtime, left, right);
    case Comparison::in:
      return contains(runtime, right, left);
    case Comparison::not_in:
      return !contains(runtime, right, left);
    default:
      return ordered(runtime, comparison, left, right);
  }
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  runtime.step();
  switch (container.type()) {
    case Type::text:
      if (!item.is(Type::text)) {
        runtime.fail(fmt::format("only a str can be in a str, not {}", type_name(item)));
      }
      runtime.work(container.text()->bytes().size());
      return container.text()->bytes().find(item.text()->bytes()) != std::string_view::npos;
    case Type::dict:
      return container.as<Dict>().find(runtime, item) != nullptr;
    case Type::range:
      return item.is_number() && in_range(container.as<Range>(), item);
    case Type::view:
      if (container.as<View>().of == View::Of::keys) {
        return container.as<View>().dict->find(runtime, item) != nullptr;
      }
      return in_items(runtime, container, item);
    default:
      return in_items(runtime, container, item);
  }
}

bool hashable(Runtime& runtime, const Value& value) {
  runtime.step();
  if (value.is(Type::tuple)) {
    const auto& items = items_of(value);
    return std::all_of(items.begin(), items.end(),
                       [&](const Value& item) { return hashable(runtime, item); });
  }
  return !value.is(Type::list) && !value.is(Type::dict) && !value.is(Type::view);
}

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>()(text); }

std::size_t hash_of(Runtime& runtime, const Value& value) {
  runtime.step();
  switch (value.type()) {
    case Type::boolean:
    case Type::integer:
      return hash_of_integer(value.integer());
    case Type::real:
      return hash_of_real(value.real());
    case Type::text:
      runtime.work(value.text()->bytes().size());
      return hash_of(value.text()->bytes());
    case Type::tuple: {
      std::size_t hash = 1;
      for (const auto& item : items_of(value)) hash = mix(hash, hash_of(runtime, item));
      return hash;
    }
    case Type::range:
      return hash_of_integer(value.as<Range>().size());
    case Type::none:
    case Type::undefined:
      return static_cast<std::size_t>(value.type());
    case Type::list:
    case Type::dict:
    case Type::view:
      runtime.fail(fmt::format("a {} cannot be a key", type_name(value)));
    default:
      return std::hash<const void*>()(value.object().get());
  }
}

}  // namespace malina::text::jinja
