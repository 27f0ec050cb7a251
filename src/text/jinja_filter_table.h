// The filters, in the files that define them.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja_value.h"

namespace malina::text::jinja {

struct FilterName {
  std::string_view name;
  FilterFunction function;
};

std::span<const FilterName> text_filters();
std::span<const FilterName> number_filters();
std::span<const FilterName> list_filters();
std::span<const FilterName> selection_filters();

// make_attrgetter of jinja2/filters.py: goes down the parts of `attribute` ("a.b", 0), each an item
// or an attribute. A part that is undefined becomes `otherwise`, unless that is missing or none.
Value attribute_path(Runtime& runtime, Value item, const Value& attribute,
                     const Value& otherwise = Value());
// A text in lower case unless `case_sensitive`; other values as they are.
Value comparison_key(Runtime& runtime, const Value& value, bool case_sensitive);

}  // namespace malina::text::jinja
