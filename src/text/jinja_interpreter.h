// Runs the tree of a template.
#pragma once

#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace malina::text::jinja {

// `context`: the variables that are handed in. The result is what the template prints.
TextPointer render(Runtime& runtime, const Tree& tree, const Dict& context);

}  // namespace malina::text::jinja
