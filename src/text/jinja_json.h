// JSON to values and back.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "text/jinja_value.h"

namespace malina::text::jinja {

// `trusted`: the provenance of every text and number in it. Fails on invalid UTF-8 and on nesting
// beyond the budget.
Value from_json(Runtime& runtime, const nlohmann::ordered_json& json, bool trusted);

// json.loads of a text; the whole has the provenance of its least trusted byte.
Value parse_json(Runtime& runtime, const Text& text);

struct JsonLayout {
  bool ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent = {};  // of one level
  std::string between_items = ", ";
  std::string after_key = ": ";
};
// json.dumps. Brackets, quotes and separators have the provenance of their container and text.
TextPointer to_json(Runtime& runtime, const Value& value, const JsonLayout& layout);

}  // namespace malina::text::jinja
