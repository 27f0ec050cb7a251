// The methods that a template may call on a value.
#pragma once

#include <string_view>

#include "text/jinja_value.h"

namespace malina::text::jinja {

enum class MethodSupport {
  none,         // Python has no attribute of this name there
  unsupported,  // Python has it, a template here cannot use it
  forbidden,    // it would change the value: Jinja2's sandbox hides it
  supported,
};

struct MethodEntry {
  MethodSupport support = MethodSupport::none;
  MethodFunction function = nullptr;
};

MethodEntry find_method(const Value& receiver, std::string_view name);
// Of a type that is known before any value is: Type::text, list, tuple, dict, integer, real.
MethodEntry find_method(Type type, std::string_view name);

}  // namespace malina::text::jinja
