// What stands after the "?" of a request's target, checked by a table of fields as a body is.
#pragma once

#include <span>
#include <string_view>

#include "serve/field.h"

namespace malina::serve {

// {} where the table is empty: then what stands there is not looked at. "a=1&b[c]=x" is {"a": 1,
// "b": {"c": "x"}}; numbers are read where the table has them. Throws ApiError 400 for what is
// malformed or given twice, and as check_body does.
Json checked_query(std::string_view target, std::span<const Field> fields);

}  // namespace malina::serve
