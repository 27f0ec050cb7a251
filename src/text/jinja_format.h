// Python's formatting of texts.
#pragma once

#include "text/jinja_value.h"

namespace malina::text::jinja {

// format % values. Conversions s, r, d, i, u, x, X, o, f, F, e, E, g, G, c and %, with flags, width
// and precision; names in parentheses take from a dict. What is not among them is `unsupported`.
Value formatted(Runtime& runtime, const Value& format, const Value& values);

// format.format(...): fields "{}", "{0}" and "{name}", with "!s" and "!r". Attributes, indices and
// format specifications are `unsupported`.
Value formatted_fields(Runtime& runtime, const TextPointer& format, const Arguments& arguments);

}  // namespace malina::text::jinja
