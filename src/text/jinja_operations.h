// What Python does with values: compare them, compute with them, go through them, print them.
// Everything here charges the runtime for its work and fails, with the line, where Python raises.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja_ast.h"
#include "text/jinja_value.h"

namespace malina::text::jinja {

std::string_view type_name(const Value& value);  // "str", "int", "Undefined", ...

bool truth(Runtime& runtime, const Value& value);
bool equal(Runtime& runtime, const Value& left, const Value& right);
bool less(Runtime& runtime, const Value& left, const Value& right);
bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right);
bool contains(Runtime& runtime, const Value& container, const Value& item);
bool hashable(Runtime& runtime, const Value& value);
std::size_t hash_of(Runtime& runtime, const Value& value);  // fails where it is not hashable
std::size_t hash_of(std::string_view text);

// Not of `and` and `or`, which decide what is evaluated.
Value compute(Runtime& runtime, BinaryOperator operation, const Value& left, const Value& right);
Value negative(Runtime& runtime, const Value& value);
Value positive(Runtime& runtime, const Value& value);
double to_real(Runtime& runtime, const Value& number);

std::shared_ptr<Iterator> iterate(Runtime& runtime, const Value& value);
bool iterable(const Value& value);
Values list_of(Runtime& runtime, const Value& value);
// len(); nothing where the value has none.
std::optional<std::size_t> length_of(const Value& value);
std::size_t length(Runtime& runtime, const Value& value);
// What Python accepts as an index: an integer or a boolean.
Integer index_of(Runtime& runtime, const Value& value, std::string_view what);

// value.name, value[key] and value[start:stop:step]; a bound that is `missing` was left out.
Value attribute_of(Runtime& runtime, const Value& value, std::string_view name);
Value item_of(Runtime& runtime, const Value& value, const Value& key);
Value slice_of(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
               const Value& step);

// str() and repr().
void append_string(Runtime& runtime, TextBuilder& out, const Value& value);
void append_representation(Runtime& runtime, TextBuilder& out, const Value& value);
TextPointer to_text(Runtime& runtime, const Value& value);
std::string real_to_string(double value);
std::string integer_to_string(Integer value);
std::string_view macro_name(const Value& macro);
std::string quoted(Runtime& runtime, const Value& value);  // for messages, cut when long

// strftime; `format` decides the provenance.
TextPointer format_time(Runtime& runtime, const Text& format, const std::tm& time,
                        std::int64_t microseconds);

// The text of a string value that Jinja2 does not treat as markup; fails on any other.
const TextPointer& plain_text(Runtime& runtime, const Value& value, std::string_view what);

}  // namespace malina::text::jinja
