// Runs the tree of a template.
#pragma once

#include <optional>

#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace malina::text::jinja {

// The variables of a function that runs.
struct Frame : Object {
  Frame(const Function& of, Frame* outside) : function(of), parent(outside), slots(of.slots) {}
  void clear() override { slots.clear(); }

  const Function& function;
  Frame* parent;
  Values slots;
};

struct MacroValue : Object {
  const Macro* macro = nullptr;
  Frame* parent = nullptr;  // kept by the runtime
};

// `context`: the variables that are handed in. The result is what the template prints.
TextPointer render(Runtime& runtime, const Tree& tree, const Dict& context);

}  // namespace malina::text::jinja
