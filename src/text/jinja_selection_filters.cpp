// Filters that hand on items one by one, as they are asked for: Python's generators.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filter_table.h"
#include "text/jinja_filters.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

// Its arguments are bound at once. Nothing runs before the first item is asked for, and nothing at
// all on a false value.
struct Generator : Iterator {
  bool next(Runtime& runtime, Value& item) override {
    const Runtime::Level level(runtime);
    if (!begun) {
      begun = true;
      if (checks_truth && !truth(runtime, value)) return false;
      begin(runtime);
      source = iterate(runtime, value);
    }
    if (source == nullptr) return false;
    while (source->next(runtime, item)) {
      runtime.step();
      if (take(runtime, item)) return true;
    }
    source.reset();
    return false;
  }
  virtual void bind(Runtime&) {}
  virtual void begin(Runtime&) {}
  virtual bool take(Runtime&, Value&) { return true; }

  Value value;
  Arguments arguments;
  std::shared_ptr<Iterator> source;
  bool begun = false;
  bool checks_truth = true;
};

template <typename T>
Value generator(Runtime& runtime, const Value& value, const Arguments& arguments) {
  auto result = std::make_shared<T>();
  result->value = value;
  result->arguments = arguments;
  result->depth = value.depth() + 1;
  for (const auto& argument : arguments.positional) {
    result->depth = std::max(result->depth, argument.depth() + 1);
  }
  for (const auto& [name, argument] : arguments.named) {
    result->depth = std::max(result->depth, argument.depth() + 1);
  }
  runtime.check_depth(result->depth);
  runtime.work(sizeof(T));
  result->bind(runtime);
  return Value::object(Type::iterator, std::move(result));
}

std::string_view name_in(Runtime& runtime, const Value& value, std::string_view what) {
  if (!value.is(Type::text)) {
    runtime.fail(fmt::format("the name of a {} is a {}", what, type_name(value)));
  }
  return value.text()->bytes();
}

struct Mapped : Generator {
  void begin(Runtime& runtime) override {
    if (arguments.positional.empty()) {
      const Parameters given(runtime, "map", arguments, {"attribute", "default"}, 1);
      attribute = given[0];
      otherwise = given.value_or(1, Value::none());
      return;
    }
    const auto name = name_in(runtime, arguments.positional.front(), "filter");
    filter = find_filter(name);
    if (filter == nullptr) runtime.unsupported(fmt::format("filter '{}' is not supported", name));
    rest = arguments;
    rest.positional.erase(rest.positional.begin());
  }

  bool take(Runtime& runtime, Value& item) override {
    item = filter != nullptr ? filter(runtime, item, rest)
                             : attribute_path(runtime, item, attribute, otherwise);
    return true;
  }

  Value attribute, otherwise;
  FilterFunction filter = nullptr;
  Arguments rest;
};

template <bool by_attribute, bool wanted>
struct Selected : Generator {
  void begin(Runtime& runtime) override {
    const std::size_t before = by_attribute ? 1 : 0;
    if (arguments.positional.size() < before) runtime.fail("the name of the attribute is missing");
    rest = arguments;
    if (by_attribute) attribute = arguments.positional.front();
    if (arguments.positional.size() > before) {
      const auto name = name_in(runtime, arguments.positional[before], "test");
      test = find_test(name);
      if (test == nullptr) runtime.unsupported(fmt::format("test '{}' is not supported", name));
      rest.positional.erase(rest.positional.begin(),
                            rest.positional.begin() + static_cast<std::ptrdiff_t>(before) + 1);
    }
  }

  bool take(Runtime& runtime, Value& item) override {
    const Value subject = by_attribute ? attribute_path(runtime, item, attribute) : item;
    const bool passed = test != nullptr ? test(runtime, subject, rest) : truth(runtime, subject);
    return passed == wanted;
  }

  Value attribute;
  TestFunction test = nullptr;
  Arguments rest;
};

struct Unique : Generator {
  Unique() { checks_truth = false; }

  void bind(Runtime& runtime) override {
    const Parameters given(runtime, "unique", arguments, {"case_sensitive", "attribute"});
    case_sensitive = given.has(0) && truth(runtime, given[0]);
    attribute = given.value_or(1, Value::none());
  }

  bool take(Runtime& runtime, Value& item) override {
    const Value key =
        comparison_key(runtime, attribute_path(runtime, item, attribute), case_sensitive);
    if (seen.find(runtime, key) != nullptr) return false;
    seen.set(runtime, key, Value::none());
    return true;
  }

  bool case_sensitive = false;
  Value attribute;
  Dict seen;
};

struct Items : Generator {
  void bind(Runtime& runtime) override { const Parameters none(runtime, "items", arguments, {}); }

  bool next(Runtime& runtime, Value& item) override {
    if (!begun) {
      begun = true;
      if (value.is(Type::undefined)) return false;
      if (!value.is(Type::dict)) {
        runtime.fail(fmt::format("items needs a dict, not {}", type_name(value)));
      }
      View pairs;
      pairs.dict = std::static_pointer_cast<Dict>(value.object());
      pairs.of = View::Of::items;
      pairs.trusted = value.trusted();
      source = iterate(runtime, Value::object(Type::view, std::make_shared<View>(pairs)));
    }
    return source != nullptr && source->next(runtime, item);
  }
};

struct Batch : Generator {
  void bind(Runtime& runtime) override {
    const Parameters given(runtime, "batch", arguments, {"linecount", "fill_with"}, 1);
    size = given[0];
    filling = given.value_or(1, Value::none());
  }

  bool next(Runtime& runtime, Value& item) override {
    const Runtime::Level level(runtime);
    if (!begun) source = iterate(runtime, value);
    begun = true;
    if (source == nullptr) return false;
    for (Value one; source->next(runtime, one);) {
      runtime.step();
      const bool full = equal(runtime, count(), size);
      if (full) item = make_list(runtime, std::exchange(current, {}));
      current.push_back(std::move(one));
      if (full) return true;
    }
    source.reset();
    if (current.empty()) return false;
    fill(runtime);
    item = make_list(runtime, std::exchange(current, {}));
    return true;
  }

  void fill(Runtime& runtime) {
    if (filling.is(Type::none) || !less(runtime, count(), size)) return;
    const Integer wanted = index_of(runtime, size, "the size of batch");
    while (static_cast<Integer>(current.size()) < wanted) {
      runtime.work(sizeof(Value));
      current.push_back(filling);
    }
  }

  Value count() const { return Value::integer(static_cast<Integer>(current.size())); }

  Value size, filling;
  Values current;
};

constexpr FilterName kFilters[] = {
    {"batch", generator<Batch>},
    {"items", generator<Items>},
    {"map", generator<Mapped>},
    {"reject", generator<Selected<false, false>>},
    {"rejectattr", generator<Selected<true, false>>},
    {"select", generator<Selected<false, true>>},
    {"selectattr", generator<Selected<true, true>>},
    {"unique", generator<Unique>},
};

}  // namespace

std::span<const FilterName> selection_filters() { return kFilters; }

}  // namespace malina::text::jinja
