// Where each variable of a template lives.
#pragma once

#include "text/jinja_ast.h"

namespace malina::text::jinja {

// Gives every name of the tree its slot, by Jinja2's rules of scope (jinja2/idtracking.py). The
// tree must not be moved afterwards. Throws base::Error with the line: an assignment to `loop` in a
// loop, a call of a function that nothing defines.
void place_variables(Tree& tree);

}  // namespace malina::text::jinja
