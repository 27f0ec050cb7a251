// Lexemes to a tree, by Jinja2's grammar (jinja2/parser.py).
#pragma once

#include <string_view>

#include "text/jinja_ast.h"

namespace malina::text::jinja {

// The nesting of a template's tree; deeper ones are refused.
inline constexpr int kMaximumTreeDepth = 200;

// Throws base::Error with the line: corrupt_file where Jinja2 finds a syntax error, unsupported
// where it would go on. Variables have no place yet: see jinja_scope.h.
Tree parse(std::string_view source);

}  // namespace malina::text::jinja
