// Filters on lists and dicts.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filter_table.h"
#include "text/jinja_operations.h"
#include "text/jinja_sort.h"
#include "text/jinja_strings.h"

namespace malina::text::jinja {
namespace {

struct Remaining : Iterator {  // items that are made already
  Values items;
  std::size_t index = 0;
  bool next(Runtime&, Value& item) override {
    if (index >= items.size()) return false;
    item = items[index++];
    return true;
  }
};

Value once(Runtime& runtime, Values items) {
  auto result = std::make_shared<Remaining>();
  runtime.work(items.size() * sizeof(Value));
  for (const auto& item : items) result->depth = std::max(result->depth, item.depth() + 1);
  runtime.check_depth(result->depth);
  result->items = std::move(items);
  return Value::object(Type::iterator, std::move(result));
}

Value list(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "list", arguments, {});
  return make_list(runtime, list_of(runtime, value));
}

Value first(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "first", arguments, {});
  Value item;
  if (iterate(runtime, value)->next(runtime, item)) return item;
  return Value::undefined("there is no first item, the sequence was empty");
}

// What Python's reversed() takes.
bool reversible(const Value& value) { return length_of(value).has_value() || value.is(Type::view); }

Value last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "last", arguments, {});
  if (!reversible(value)) runtime.fail(fmt::format("{} has no last item", type_name(value)));
  const auto size = static_cast<Integer>(length(runtime, value));
  if (size == 0) return Value::undefined("there is no last item, the sequence was empty");
  if (value.is(Type::dict) || value.is(Type::view)) return list_of(runtime, value).back();
  return item_of(runtime, value, Value::integer(size - 1));
}

Value reverse(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "reverse", arguments, {});
  if (value.is(Type::text)) {
    return slice_of(runtime, value, Value(), Value(), Value::integer(-1));
  }
  Values items = list_of(runtime, value);
  std::reverse(items.begin(), items.end());
  if (reversible(value)) return once(runtime, std::move(items));
  return make_list(runtime, std::move(items));
}

Value default_value(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "default", arguments, {"default_value", "boolean"});
  const bool also_false = given.has(1) && truth(runtime, given[1]);
  if (value.is(Type::undefined) || (also_false && !truth(runtime, value))) {
    return given.value_or(0, Value::text(""));
  }
  return value;
}

// Jinja2 sorts by lists of keys, whose equality comes before their order.
struct Keyed {
  Value key, item;
};

Values sorted(Runtime& runtime, std::vector<Keyed> keyed, bool descending) {
  // Python reverses before and after, so that equal items keep their order.
  if (descending) std::reverse(keyed.begin(), keyed.end());
  stable_merge_sort(keyed, [&](const Keyed& left, const Keyed& right) {
    return less(runtime, left.key, right.key);
  });
  if (descending) std::reverse(keyed.begin(), keyed.end());
  Values items;
  for (auto& entry : keyed) items.push_back(std::move(entry.item));
  return items;
}

bool flag(Runtime& runtime, const Parameters& given, std::size_t index) {
  return given.has(index) && truth(runtime, given[index]);
}

// make_multi_attrgetter: "a,b.c" gives two keys.
Value sort_key(Runtime& runtime, const Value& item, const Value& attribute, bool case_sensitive) {
  Values keys;
  if (attribute.is(Type::text)) {
    const Text comma(",", true);
    for (const auto& part : split(runtime, attribute.text(), &comma, -1)) {
      keys.push_back(comparison_key(runtime, attribute_path(runtime, item, part), case_sensitive));
    }
  } else {
    keys.push_back(
        comparison_key(runtime, attribute_path(runtime, item, attribute), case_sensitive));
  }
  return make_list(runtime, std::move(keys));
}

Value sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = flag(runtime, given, 1);
  const Value attribute = given.value_or(2, Value::none());
  std::vector<Keyed> keyed;
  for (auto& item : list_of(runtime, value)) {
    Value key = sort_key(runtime, item, attribute, case_sensitive);
    keyed.push_back({std::move(key), std::move(item)});
  }
  return make_list(runtime, sorted(runtime, std::move(keyed), flag(runtime, given, 0)));
}

const Dict& dict_of(Runtime& runtime, const Value& value, std::string_view filter) {
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  if (!value.is(Type::dict)) {
    runtime.fail(fmt::format("{} needs a dict, not {}", filter, type_name(value)));
  }
  return value.as<Dict>();
}

Value dictsort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const bool case_sensitive = flag(runtime, given, 0);
  const Value by_value = given.value_or(1, Value::text("key"));
  const auto by = plain_text(runtime, by_value, "dictsort")->bytes();
  if (by != "key" && by != "value") runtime.fail("dictsort sorts by 'key' or by 'value'");
  std::vector<Keyed> keyed;
  for (const auto& [key, item] : dict_of(runtime, value, "dictsort").items) {
    keyed.push_back({comparison_key(runtime, by == "key" ? key : item, case_sensitive),
                     make_list(runtime, {key, item}, value.trusted(), Type::tuple)});
  }
  return make_list(runtime, sorted(runtime, std::move(keyed), flag(runtime, given, 2)));
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "sum", arguments, {"attribute", "start"});
  const bool attribute = given.has(0) && !given[0].is(Type::none);
  Value total = given.value_or(1, Value::integer(0));
  const auto all = iterate(runtime, value);
  if (total.is(Type::text)) runtime.fail("sum cannot join texts");
  for (Value item; all->next(runtime, item);) {
    total = compute(runtime, BinaryOperator::add, total,
                    attribute ? attribute_path(runtime, item, given[0]) : item);
  }
  return total;
}

template <Comparison better>
Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "min or max", arguments, {"case_sensitive", "attribute"});
  const bool case_sensitive = flag(runtime, given, 0);
  const auto key = [&](const Value& item) {
    const Value at = given.has(1) ? attribute_path(runtime, item, given[1]) : item;
    return comparison_key(runtime, at, case_sensitive);
  };
  const auto all = iterate(runtime, value);
  Value best;
  if (!all->next(runtime, best)) {
    return Value::undefined("there is no item to choose, the sequence was empty");
  }
  Value best_key = key(best);
  for (Value item; all->next(runtime, item);) {
    Value item_key = key(item);
    if (!compare(runtime, better, item_key, best_key)) continue;
    best = item;
    best_key = std::move(item_key);
  }
  return best;
}

constexpr FilterName kFilters[] = {
    {"d", default_value},
    {"default", default_value},
    {"dictsort", dictsort},
    {"first", first},
    {"last", last},
    {"list", list},
    {"max", extreme<Comparison::greater>},
    {"min", extreme<Comparison::less>},
    {"reverse", reverse},
    {"sort", sort},
    {"sum", sum},
};

}  // namespace

std::span<const FilterName> list_filters() { return kFilters; }

Value comparison_key(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is(Type::text)) return value;
  return Value::text(
      change_case(runtime, plain_text(runtime, value, "a comparison"), CaseStyle::lower));
}

Value attribute_path(Runtime& runtime, Value item, const Value& attribute, const Value& otherwise) {
  const auto down = [&](const Value& part) {
    item = item_of(runtime, item, part);
    const bool replace = !otherwise.is(Type::missing) && !otherwise.is(Type::none);
    if (replace && item.is(Type::undefined)) item = otherwise;
  };
  if (attribute.is(Type::none)) return item;
  if (!attribute.is(Type::text)) {
    down(attribute);
    return item;
  }
  const Text dot(".", true);
  for (const auto& part : split(runtime, attribute.text(), &dot, -1)) {
    const auto bytes = part.text()->bytes();
    const bool digits = !bytes.empty() && bytes.size() < 18 &&
                        bytes.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits) {
      Integer index = 0;
      for (const char c : bytes) index = index * 10 + (c - '0');
      down(Value::integer(index));
    } else {
      down(part);
    }
  }
  return item;
}

}  // namespace malina::text::jinja
