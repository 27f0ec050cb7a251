#include "text/jinja_methods.h"

#include <algorithm>
#include <array>

#include "text/jinja_operations.h"
#include "text/jinja_text_methods.h"

namespace malina::text::jinja {
namespace {

template <View::Of of>
Value view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none(runtime, "a view of a dict", arguments, {});
  auto result = std::make_shared<View>();
  result->dict = std::static_pointer_cast<Dict>(self.object());
  result->of = of;
  result->trusted = self.trusted();
  result->depth = self.depth() + 1;
  return Value::object(Type::view, std::move(result), self.trusted());
}

Value get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) runtime.fail("get() takes no named arguments");
  const Parameters given(runtime, "get", arguments, {"key", "default"}, 1);
  const Value* found = self.as<Dict>().find(runtime, given[0]);
  return found != nullptr ? *found : given.value_or(1, Value::none());
}

Value copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none(runtime, "copy", arguments, {});
  if (self.is(Type::list)) return make_list(runtime, self.as<List>().items, self.trusted());
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : self.as<Dict>().items) dict->set(runtime, key, value);
  return Value::object(Type::dict, std::move(dict), self.trusted());
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) runtime.fail("count() takes no named arguments");
  const Parameters given(runtime, "count", arguments, {"value"}, 1);
  Integer found = 0;
  for (const auto& item : self.as<List>().items) found += equal(runtime, item, given[0]) ? 1 : 0;
  return Value::integer(found);
}

Value index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) runtime.fail("index() takes no named arguments");
  const Parameters given(runtime, "index", arguments, {"value", "start", "stop"}, 1);
  if (given.has(1)) runtime.unsupported("index() with bounds is not supported");
  const auto& items = self.as<List>().items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equal(runtime, items[i], given[0])) return Value::integer(static_cast<Integer>(i));
  }
  runtime.fail("index() does not find the value");
}

constexpr MethodName kDictMethods[] = {
    {"clear", nullptr, true},
    {"copy", copy},
    {"fromkeys", nullptr},
    {"get", get},
    {"items", view<View::Of::items>},
    {"keys", view<View::Of::keys>},
    {"pop", nullptr, true},
    {"popitem", nullptr, true},
    {"setdefault", nullptr, true},
    {"update", nullptr, true},
    {"values", view<View::Of::values>},
};
constexpr MethodName kListMethods[] = {
    {"append", nullptr, true},  {"clear", nullptr, true},  {"copy", copy},
    {"count", count},           {"extend", nullptr, true}, {"index", index},
    {"insert", nullptr, true},  {"pop", nullptr, true},    {"remove", nullptr, true},
    {"reverse", nullptr, true}, {"sort", nullptr, true},
};
constexpr MethodName kTupleMethods[] = {{"count", count}, {"index", index}};
constexpr MethodName kIntegerMethods[] = {
    {"as_integer_ratio", nullptr},
    {"bit_count", nullptr},
    {"bit_length", nullptr},
    {"conjugate", nullptr},
    {"denominator", nullptr},
    {"from_bytes", nullptr},
    {"imag", nullptr},
    {"numerator", nullptr},
    {"real", nullptr},
    {"to_bytes", nullptr},
};
constexpr MethodName kRealMethods[] = {
    {"as_integer_ratio", nullptr},
    {"conjugate", nullptr},
    {"fromhex", nullptr},
    {"hex", nullptr},
    {"imag", nullptr},
    {"is_integer", nullptr},
    {"real", nullptr},
};
constexpr MethodName kRangeMethods[] = {{"count", nullptr},
                                        {"index", nullptr},
                                        {"start", nullptr},
                                        {"step", nullptr},
                                        {"stop", nullptr}};
constexpr MethodName kViewMethods[] = {{"isdisjoint", nullptr}, {"mapping", nullptr}};
constexpr MethodName kIteratorMethods[] = {
    {"close", nullptr}, {"send", nullptr}, {"throw", nullptr}};
constexpr MethodName kMacroMethods[] = {{"arguments", nullptr},       {"caller", nullptr},
                                        {"catch_kwargs", nullptr},    {"catch_varargs", nullptr},
                                        {"explicit_caller", nullptr}, {"name", nullptr}};
constexpr MethodName kFunctionMethods[] = {{"fromkeys", nullptr}};

std::span<const MethodName> methods_of(Type type) {
  switch (type) {
    case Type::text:
      return text_methods();
    case Type::dict:
      return kDictMethods;
    case Type::list:
      return kListMethods;
    case Type::tuple:
      return kTupleMethods;
    case Type::boolean:
    case Type::integer:
      return kIntegerMethods;
    case Type::real:
      return kRealMethods;
    case Type::range:
      return kRangeMethods;
    case Type::view:
      return kViewMethods;
    case Type::iterator:
      return kIteratorMethods;
    case Type::macro:
      return kMacroMethods;
    case Type::function:
      return kFunctionMethods;
    default:
      return {};
  }
}

}  // namespace

MethodEntry find_method(Type type, std::string_view name) {
  for (const auto& method : methods_of(type)) {
    if (method.name != name) continue;
    if (method.changes) return {MethodSupport::forbidden};
    if (method.function == nullptr) return {MethodSupport::unsupported};
    return {MethodSupport::supported, method.function};
  }
  return {};
}

MethodEntry find_method(const Value& receiver, std::string_view name) {
  return find_method(receiver.type(), name);
}

}  // namespace malina::text::jinja
