// Going through values, and their lengths.
#include <fmt/format.h>

#include "text/jinja_loop.h"
#include "text/jinja_operations.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

struct ListItems : Iterator {
  std::shared_ptr<List> list;
  std::size_t index = 0;
  bool next(Runtime&, Value& item) override {
    if (index >= list->items.size()) return false;
    item = list->items[index++];
    return true;
  }
};

struct Characters : Iterator {
  TextPointer text;
  std::size_t byte = 0;
  bool next(Runtime& runtime, Value& item) override {
    if (byte >= text->bytes().size()) return false;
    const std::size_t begin = byte;
    next_character(text->bytes(), byte);
    item = Value::text(part_of(runtime, text, begin, byte));
    return true;
  }
};

struct RangeItems : Iterator {
  std::shared_ptr<Range> range;
  Integer index = 0;
  bool next(Runtime&, Value& item) override {
    if (index >= range->size()) return false;
    item = Value::integer(range->start + range->step * index++);
    return true;
  }
};

struct ViewItems : Iterator {
  View view;
  std::size_t index = 0;
  bool next(Runtime& runtime, Value& item) override {
    const auto& items = view.dict->items;
    if (index >= items.size()) return false;
    const auto& [key, value] = items[index++];
    switch (view.of) {
      case View::Of::keys:
        item = key;
        break;
      case View::Of::values:
        item = value;
        break;
      case View::Of::items:
        item = make_list(runtime, {key, value}, view.trusted, Type::tuple);
        break;
    }
    return true;
  }
};

struct Nothing : Iterator {
  bool next(Runtime&, Value&) override { return false; }
};

std::shared_ptr<Iterator> through_view(const View& view) {
  auto items = std::make_shared<ViewItems>();
  items->view = view;
  return items;
}

}  // namespace

bool iterable(const Value& value) {
  switch (value.type()) {
    case Type::undefined:
    case Type::text:
    case Type::list:
    case Type::tuple:
    case Type::dict:
    case Type::range:
    case Type::view:
    case Type::iterator:
    case Type::loop:
      return true;
    default:
      return false;
  }
}

std::shared_ptr<Iterator> iterate(Runtime& runtime, const Value& value) {
  runtime.step();
  switch (value.type()) {
    case Type::list:
    case Type::tuple: {
      auto items = std::make_shared<ListItems>();
      items->list = std::static_pointer_cast<List>(value.object());
      return items;
    }
    case Type::text: {
      auto items = std::make_shared<Characters>();
      items->text = value.text();
      return items;
    }
    case Type::range: {
      auto items = std::make_shared<RangeItems>();
      items->range = std::static_pointer_cast<Range>(value.object());
      return items;
    }
    case Type::dict: {
      View keys;
      keys.dict = std::static_pointer_cast<Dict>(value.object());
      return through_view(keys);
    }
    case Type::view:
      return through_view(value.as<View>());
    case Type::iterator:
      return std::static_pointer_cast<Iterator>(value.object());
    case Type::undefined:
      return std::make_shared<Nothing>();
    case Type::loop:
      runtime.unsupported("going through 'loop' itself is not supported");
    default:
      runtime.fail(fmt::format("{} cannot be gone through", type_name(value)));
  }
}

Values list_of(Runtime& runtime, const Value& value) {
  Values result;
  const auto items = iterate(runtime, value);
  for (Value item; items->next(runtime, item);) {
    runtime.work(sizeof(Value));
    result.push_back(std::move(item));
  }
  return result;
}

std::optional<std::size_t> length_of(const Value& value) {
  switch (value.type()) {
    case Type::undefined:
      return 0;
    case Type::text:
      return value.text()->characters();
    case Type::list:
    case Type::tuple:
      return value.as<List>().items.size();
    case Type::dict:
      return value.as<Dict>().items.size();
    case Type::view:
      return value.as<View>().dict->items.size();
    case Type::range:
      return static_cast<std::size_t>(value.as<Range>().size());
    default:
      return std::nullopt;
  }
}

std::size_t length(Runtime& runtime, const Value& value) {
  if (const auto result = length_of(value)) return *result;
  if (value.is(Type::loop)) return value.as<LoopState>().length(runtime);
  runtime.fail(fmt::format("{} has no length", type_name(value)));
}

Integer index_of(Runtime& runtime, const Value& value, std::string_view what) {
  if (value.is(Type::integer) || value.is(Type::boolean)) return value.integer();
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  runtime.fail(fmt::format("{} is a {}, not an integer", what, type_name(value)));
}

}  // namespace malina::text::jinja
