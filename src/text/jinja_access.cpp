// value.name, value[key] and value[start:stop:step], by the rules of Jinja2's sandbox.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_loop.h"
#include "text/jinja_methods.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

Value no_element(Runtime& runtime, const Value& value, const Value& key) {
  return Value::undefined(
      fmt::format("{} has no element {}", type_name(value), quoted(runtime, key)));
}

Value unsafe(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format(
      "access to attribute '{}' of {} is not allowed: it would change it", name, type_name(value)));
}

// What Python's getattr finds: never an item of a dict.
std::optional<Value> python_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (name.starts_with("__") && name.ends_with("__")) {
    return Value::undefined(fmt::format("access to attribute '{}' is not allowed", name));
  }
  if (value.is(Type::name_space)) {
    const Value* found = value.as<NameSpace>().attributes.find(name);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  if (value.is(Type::loop)) return value.as<LoopState>().attribute(runtime, value, name);
  const auto method = find_method(value, name);
  switch (method.support) {
    case MethodSupport::none:
      return std::nullopt;
    case MethodSupport::forbidden:
      return unsafe(value, name);
    case MethodSupport::unsupported:
      runtime.unsupported(fmt::format("'{}' of a {} is not supported", name, type_name(value)));
    case MethodSupport::supported:
      break;
  }
  auto bound = std::make_shared<Method>();
  bound->receiver = value;
  bound->function = method.function;
  bound->depth = value.depth() + 1;
  runtime.check_depth(bound->depth);
  return Value::object(Type::method, std::move(bound));
}

struct Bounds {
  Integer start, stop, step, count;
};

// Python's PySlice_AdjustIndices.
Bounds bounds_of(Runtime& runtime, std::size_t size, const Value& start, const Value& stop,
                 const Value& step) {
  const auto given = [](const Value& bound) {
    return !bound.is(Type::missing) && !bound.is(Type::none);
  };
  const auto length = static_cast<Integer>(size);
  const Integer stride = given(step) ? index_of(runtime, step, "the step of a slice") : 1;
  if (stride == 0) runtime.fail("the step of a slice cannot be zero");
  const auto place = [&](const Value& bound, Integer otherwise) {
    if (!given(bound)) return otherwise;
    Integer index = index_of(runtime, bound, "a bound of a slice");
    if (index < 0) index = std::max<Integer>(index, -length - 1) + length;
    return std::clamp<Integer>(index, stride < 0 ? -1 : 0, stride < 0 ? length - 1 : length);
  };
  const Integer first = place(start, stride < 0 ? length - 1 : 0);
  const Integer last = place(stop, stride < 0 ? -1 : length);
  Range range;
  range.start = first;
  range.stop = last;
  range.step = std::clamp<Integer>(stride, -length - 1, length + 1);
  return {first, last, range.step, range.size()};
}

Value slice_text(Runtime& runtime, const TextPointer& text, const Bounds& bounds) {
  if (bounds.count == 0) return Value::text("");
  if (bounds.step == 1) {
    const auto first = static_cast<std::size_t>(bounds.start);
    runtime.work(text->bytes().size());
    return Value::text(part_of(runtime, text, text->byte_of(first),
                               text->byte_of(first + static_cast<std::size_t>(bounds.count))));
  }
  const std::size_t characters = text->characters();
  runtime.work(characters * sizeof(std::size_t));
  std::vector<std::size_t> begins;  // of every character, and the end
  begins.reserve(characters + 1);
  for (std::size_t byte = 0; byte <= text->bytes().size(); ++byte) {
    const bool inside = byte < text->bytes().size() &&
                        (static_cast<unsigned char>(text->bytes()[byte]) & 0xC0U) == 0x80U;
    if (!inside) begins.push_back(byte);
  }
  TextBuilder result(runtime);
  for (Integer i = 0; i < bounds.count; ++i) {
    const auto index = static_cast<std::size_t>(bounds.start + i * bounds.step);
    result.add(*text, begins[index], begins[index + 1]);
  }
  return Value::text(result.finish());
}

Value slice_list(Runtime& runtime, const Value& value, const Bounds& bounds) {
  const auto& source = value.as<List>().items;
  runtime.work(static_cast<std::size_t>(bounds.count) * sizeof(Value));
  Values items;
  items.reserve(static_cast<std::size_t>(bounds.count));
  for (Integer i = 0; i < bounds.count; ++i) {
    items.push_back(source[static_cast<std::size_t>(bounds.start + i * bounds.step)]);
  }
  return make_list(runtime, std::move(items), value.trusted(), value.type());
}

std::optional<Value> element(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is(Type::dict)) {
    if (!hashable(runtime, key)) return std::nullopt;
    const Value* found = value.as<Dict>().find(runtime, key);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  const bool sequence = value.is(Type::list) || value.is(Type::tuple) || value.is(Type::text) ||
                        value.is(Type::range);
  if (!sequence || (!key.is(Type::integer) && !key.is(Type::boolean))) return std::nullopt;
  const auto size = static_cast<Integer>(*length_of(value));
  Integer index = key.integer();
  if (index < 0) index = index < -size ? -1 : index + size;
  if (index < 0 || index >= size) return std::nullopt;
  if (value.is(Type::range)) {
    const auto& range = value.as<Range>();
    return Value::integer(range.start + range.step * index);
  }
  if (value.is(Type::text)) {
    return slice_text(runtime, plain_text(runtime, value, "an index"), {index, index + 1, 1, 1});
  }
  return value.as<List>().items[static_cast<std::size_t>(index)];
}

}  // namespace

Value attribute_of(Runtime& runtime, const Value& value, std::string_view name) {
  runtime.step();
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  if (auto found = python_attribute(runtime, value, name)) return *found;
  if (value.is(Type::dict)) {
    if (const Value* found = value.as<Dict>().find(name)) return *found;
  }
  return Value::undefined(fmt::format("{} has no attribute '{}'", type_name(value), name));
}

Value item_of(Runtime& runtime, const Value& value, const Value& key) {
  runtime.step();
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  if (auto found = element(runtime, value, key)) return *found;
  if (key.is(Type::text)) {
    if (auto found = python_attribute(runtime, value, key.text()->bytes())) return *found;
  }
  return no_element(runtime, value, key);
}

Value slice_of(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
               const Value& step) {
  runtime.step();
  const auto bounds = [&] { return bounds_of(runtime, *length_of(value), start, stop, step); };
  switch (value.type()) {
    case Type::text:
      return slice_text(runtime, plain_text(runtime, value, "a slice"), bounds());
    case Type::list:
    case Type::tuple:
      return slice_list(runtime, value, bounds());
    case Type::range: {
      const auto& source = value.as<Range>();
      const Bounds part = bounds();
      auto range = std::make_shared<Range>();
      range->start = source.start + part.start * source.step;
      range->step = source.step * part.step;
      range->stop = source.start + part.stop * source.step;
      return Value::object(Type::range, std::move(range));
    }
    case Type::undefined:
      runtime.fail(value.as<Undefined>().message);
    default:
      runtime.fail(fmt::format("{} cannot be sliced", type_name(value)));
  }
}

}  // namespace malina::text::jinja
