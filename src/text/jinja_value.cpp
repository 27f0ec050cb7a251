#include "text/jinja_value.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_operations.h"

namespace malina::text::jinja {

Value Value::undefined(std::string message) {
  auto object = std::make_shared<Undefined>();
  object->message = std::move(message);
  Value value(Type::undefined);
  value.object_ = std::move(object);
  return value;
}

Value Value::boolean(bool flag, bool trusted) {
  Value value(Type::boolean, trusted);
  value.scalar_.integer = flag ? 1 : 0;
  return value;
}

Value Value::integer(Integer number, bool trusted) {
  Value value(Type::integer, trusted);
  value.scalar_.integer = number;
  return value;
}

Value Value::real(double number, bool trusted) {
  Value value(Type::real, trusted);
  value.scalar_.real = number;
  return value;
}

Value Value::text(TextPointer text) {
  Value value(Type::text);
  value.text_ = std::move(text);
  return value;
}

Value Value::text(std::string bytes, bool trusted) {
  return text(std::make_shared<const Text>(std::move(bytes), trusted));
}

Value Value::object(Type type, std::shared_ptr<Object> object, bool trusted) {
  Value value(type, trusted);
  value.object_ = std::move(object);
  return value;
}

Value make_list(Runtime& runtime, Values items, bool trusted, Type type) {
  auto list = std::make_shared<List>();
  runtime.work(items.size() * sizeof(Value) + sizeof(List));
  for (const auto& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  runtime.check_depth(list->depth);
  list->items = std::move(items);
  return Value::object(type, std::move(list), trusted);
}

std::optional<std::size_t> Dict::place(Runtime& runtime, const Value& key, std::size_t hash) const {
  const auto [first, last] = places_.equal_range(hash);
  for (auto candidate = first; candidate != last; ++candidate) {
    if (equal(runtime, items[candidate->second].first, key)) return candidate->second;
  }
  return std::nullopt;
}

const Value* Dict::find(Runtime& runtime, const Value& key) const {
  const auto found = place(runtime, key, hash_of(runtime, key));
  return found ? &items[*found].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  const auto [first, last] = places_.equal_range(hash_of(key));
  for (auto candidate = first; candidate != last; ++candidate) {
    const auto& entry = items[candidate->second];
    if (entry.first.is(Type::text) && entry.first.text()->bytes() == key) return &entry.second;
  }
  return nullptr;
}

void Dict::set(Runtime& runtime, Value key, Value value) {
  const std::size_t hash = hash_of(runtime, key);
  depth = std::max({depth, key.depth() + 1, value.depth() + 1});
  runtime.check_depth(depth);
  if (const auto found = place(runtime, key, hash)) {
    items[*found].second = std::move(value);
    return;
  }
  runtime.work(sizeof(Value) * 4);  // the entry and its place
  places_.emplace(hash, items.size());
  items.emplace_back(std::move(key), std::move(value));
}

Integer Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

Parameters::Parameters(Runtime& runtime, std::string_view function, const Arguments& arguments,
                       std::initializer_list<std::string_view> names, std::size_t required)
    : values_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    runtime.fail(fmt::format("{}() takes {} arguments, not {}", function, names.size(),
                             arguments.positional.size()));
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), values_.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      runtime.fail(fmt::format("{}() takes no argument named '{}'", function, name));
    }
    auto& place = values_[static_cast<std::size_t>(found - names.begin())];
    if (!place.is(Type::missing)) {
      runtime.fail(fmt::format("{}() is given its argument '{}' twice", function, name));
    }
    place = value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!has(i)) {
      runtime.fail(fmt::format("{}() needs an argument '{}'", function, *(names.begin() + i)));
    }
  }
}

}  // namespace malina::text::jinja
