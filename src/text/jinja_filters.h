// The filters, tests and functions of a template, by name.
#pragma once

#include <string_view>

#include "text/jinja_ast.h"
#include "text/jinja_value.h"

namespace malina::text::jinja {

FilterFunction find_filter(std::string_view name);  // null where there is none
TestFunction find_test(std::string_view name);
GlobalFunction find_global(std::string_view name);

// Throws base::Error (unsupported) with the line where a filter such as `map` or `selectattr`
// names, by a literal, a filter or a test that does not exist.
void check_named_function(const Filter& filter, std::string_view name);

// Jinja2 knows it as a function, a template here cannot call it (cycler, joiner, lipsum).
bool is_unsupported_global(std::string_view name);

}  // namespace malina::text::jinja
