// Python's formatting of a text with '%'.
#pragma once

#include "text/jinja_value.h"

namespace malina::text::jinja {

// format % values. Conversions s, r, d, i, u, x, X, o, f, F, e, E, g, G, c and %, with flags, width
// and precision; names in parentheses take from a dict. What is not among them is `unsupported`.
Value formatted(Runtime& runtime, const Value& format, const Value& values);

}  // namespace malina::text::jinja
