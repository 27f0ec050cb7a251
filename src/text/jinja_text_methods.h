// The methods of str, by name.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja_value.h"

namespace malina::text::jinja {

struct MethodName {
  std::string_view name;
  MethodFunction function;  // null: Python has it, a template here cannot use it
  bool changes = false;     // it would change its receiver: Jinja2's sandbox hides it
};

std::span<const MethodName> text_methods();

}  // namespace malina::text::jinja
