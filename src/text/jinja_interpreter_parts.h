// What the parts of the interpreter share. Variables and targets are in jinja_interpreter.cpp,
// expressions in jinja_evaluate.cpp, calls and macros in jinja_call.cpp, statements in
// jinja_execute.cpp.
#pragma once

#include <memory>
#include <string>

#include "text/jinja_ast.h"
#include "text/jinja_loop.h"
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

using NamedValues = std::vector<std::pair<std::string, Value>>;  // of a call

enum class Flow { next, again, out };  // after a statement: go on, `continue`, `break`

class Interpreter {
 public:
  Interpreter(Runtime& runtime, const Dict& context) : runtime_(runtime), context_(context) {}

  TextPointer run(const Tree& tree);
  Value evaluate(const Node& node, Frame& frame);
  void assign(const Node& target, const Value& value, Frame& frame);
  void open(const Scope& scope, Frame& frame);
  std::shared_ptr<Frame> enter(const Function& function, Frame* parent);

 private:
  // expressions
  Value name(const Name& name, const Frame& frame) const;
  Value sequence(const Sequence& node, Frame& frame);
  Value dict(const DictLiteral& node, Frame& frame);
  Value unary(const Unary& node, Frame& frame);
  Value binary(const Binary& node, Frame& frame);
  Value concat(const Concat& node, Frame& frame);
  Value compared(const Compare& node, Frame& frame);
  Value slice(const SliceOf& node, Frame& frame);
  Value attribute(const Attribute& node, Frame& frame);
  Value item(const Item& node, Frame& frame);
  Value filter(const Filter& node, const Value& subject, Frame& frame);
  Value filter_text(const Node& chain, Value text, Frame& frame);
  Value tested(const Test& node, Frame& frame);
  Value conditional(const Conditional& node, Frame& frame);

  // calls
  Arguments arguments(const ArgumentNodes& nodes, Frame& frame);
  Value call(const Call& node, Frame& frame);
  Value call_macro(const MacroValue& macro, const Arguments& arguments);
  void bind(const Macro& macro, const Arguments& given, Frame& frame);
  void bind_parameters(const Macro& macro, const Arguments& given, NamedValues& named,
                       Frame& frame);
  void bind_caller(const Macro& macro, NamedValues& named, Frame& frame);
  void bind_rest(const Macro& macro, const Arguments& given, NamedValues named, Frame& frame);
  void bind_defaults(const Macro& macro, Frame& frame);
  void define(const Macro& node, Frame& frame);

  // statements
  Flow execute(const Nodes& body, Frame& frame, TextBuilder& out);
  Flow execute(const Node& node, Frame& frame, TextBuilder& out);
  void output(const Output& node, Frame& frame, TextBuilder& out);
  void set(const Set& node, Frame& frame);
  Flow set_block(const SetBlock& node, Frame& frame);
  Flow branch(const Branch& node, Frame& frame, TextBuilder& out);
  Flow loop(const Loop& node, Frame& frame, TextBuilder& out);
  bool iterations(const Loop& node, LoopState& state, Frame& frame, TextBuilder& out);
  void generation(const Generation& node, Frame& frame, TextBuilder& out);
  Flow filter_block(const FilterBlock& node, Frame& frame, TextBuilder& out);
  Flow with(const With& node, Frame& frame, TextBuilder& out);

  // variables
  Value& at(const Slot& slot, Frame& frame) const;
  void close(const Scope& scope, Frame& frame) const;
  void check_namespaces(const Node& target, Frame& frame);
  Value from_context(const std::string& name) const;

  Runtime& runtime_;
  const Dict& context_;
};

}  // namespace malina::text::jinja
