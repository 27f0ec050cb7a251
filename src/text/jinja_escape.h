// The escapes of a string literal.
#pragma once

#include <string>
#include <string_view>

namespace malina::text::jinja {

// What Jinja2 makes of the text between the quotes: Python's "unicode-escape" codec. Throws
// base::Error with the line where an escape is broken, names a character (\N{...}) or half a
// surrogate pair.
std::string resolve_escapes(std::string_view literal, int line);

}  // namespace malina::text::jinja
