#include "text/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filters.h"
#include "text/jinja_loop.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

enum class Flow { next, again, out };  // after a statement: go on, `continue`, `break`

class Interpreter {
 public:
  Interpreter(Runtime& runtime, const Dict& context) : runtime_(runtime), context_(context) {}

  TextPointer run(const Tree& tree) {
    TextBuilder out(runtime_);
    const auto frame = enter(tree.function, nullptr);
    open(tree.scope, *frame);
    execute(tree.body, *frame, out);
    return out.finish();
  }

  Value evaluate(const Node& node, Frame& frame);
  void assign(const Node& target, const Value& value, Frame& frame);
  void open(const Scope& scope, Frame& frame);
  std::shared_ptr<Frame> enter(const Function& function, Frame* parent);
  Runtime& runtime() { return runtime_; }

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
  Value call(const Call& node, Frame& frame);
  Value call_macro(const MacroValue& macro, const Arguments& arguments);
  void bind(const Macro& macro, const Arguments& arguments, Frame& frame);
  Value filter(const Filter& node, const Value& subject, Frame& frame);
  Value filter_text(const Node& chain, Value text, Frame& frame);
  Value tested(const Test& node, Frame& frame);
  Value conditional(const Conditional& node, Frame& frame);
  Arguments arguments(const ArgumentNodes& nodes, Frame& frame);

  // statements
  Flow execute(const Nodes& body, Frame& frame, TextBuilder& out);
  Flow execute(const Node& node, Frame& frame, TextBuilder& out);
  void output(const Output& node, Frame& frame, TextBuilder& out);
  void set(const Set& node, Frame& frame);
  Flow set_block(const SetBlock& node, Frame& frame);
  Flow branch(const Branch& node, Frame& frame, TextBuilder& out);
  Flow loop(const Loop& node, Frame& frame, TextBuilder& out);
  bool iterations(const Loop& node, LoopState& state, Frame& frame, TextBuilder& out);
  void define(const Macro& node, Frame& frame);
  void generation(const Generation& node, Frame& frame, TextBuilder& out);
  Flow filter_block(const FilterBlock& node, Frame& frame, TextBuilder& out);
  Flow with(const With& node, Frame& frame, TextBuilder& out);

  Value& at(const Slot& slot, Frame& frame) const;
  void close(const Scope& scope, Frame& frame) const;
  void check_namespaces(const Node& target, Frame& frame);
  Value from_context(const std::string& name) const;

  Runtime& runtime_;
  const Dict& context_;
};

// The items of a loop that its condition lets through; tested one by one, as they are asked for.
struct Conditioned : Iterator {
  bool next(Runtime& runtime, Value& item) override {
    if (!opened) {
      frame = interpreter->enter(loop->condition_function, parent);
      interpreter->open(loop->condition_scope, *frame);
      opened = true;
    }
    for (Value candidate; source->next(runtime, candidate);) {
      runtime.line = loop->line;
      runtime.step();
      interpreter->assign(*loop->condition_target, candidate, *frame);
      if (!truth(runtime, interpreter->evaluate(*loop->condition, *frame))) continue;
      // Jinja2 yields the target again: a tuple of what was unpacked.
      item = rebuilt(runtime, *loop->condition_target);
      return true;
    }
    return false;
  }

  Value rebuilt(Runtime& runtime, const Node& target) const {
    if (target.kind == Node::Kind::name) {
      return frame->slots[static_cast<const Name&>(target).slot.index];
    }
    Values items;
    for (const auto& part : static_cast<const Sequence&>(target).items) {
      items.push_back(rebuilt(runtime, *part));
    }
    return make_list(runtime, std::move(items), true, Type::tuple);
  }

  Interpreter* interpreter = nullptr;
  const Loop* loop = nullptr;
  Frame* parent = nullptr;
  std::shared_ptr<Iterator> source;
  std::shared_ptr<Frame> frame;
  bool opened = false;
};

Value& Interpreter::at(const Slot& slot, Frame& frame) const {
  Frame* place = &frame;
  for (std::uint32_t hop = 0; hop < slot.hops; ++hop) place = place->parent;
  return place->slots[slot.index];
}

std::shared_ptr<Frame> Interpreter::enter(const Function& function, Frame* parent) {
  runtime_.work(sizeof(Frame) + function.slots * sizeof(Value));
  auto frame = std::make_shared<Frame>(function, parent);
  if (function.kept) runtime_.keep(frame);
  return frame;
}

Value Interpreter::from_context(const std::string& name) const {
  if (const Value* found = context_.find(name)) return *found;
  if (const auto function = find_global(name)) {
    auto global = std::make_shared<Global>();
    global->function = function;
    return Value::object(Type::function, std::move(global));
  }
  return Value();
}

void Interpreter::open(const Scope& scope, Frame& frame) {
  for (const auto& load : scope) {
    switch (load.from) {
      case Load::From::parameter:
        break;
      case Load::From::nothing:
        frame.slots[load.index] = Value();
        break;
      case Load::From::outer:
        frame.slots[load.index] = at(load.outer, frame);
        break;
      case Load::From::context:
        frame.slots[load.index] = from_context(load.name);
        break;
    }
  }
}

void Interpreter::close(const Scope& scope, Frame& frame) const {
  for (const auto& load : scope) frame.slots[load.index] = Value();
}

Value Interpreter::evaluate(const Node& node, Frame& frame) {
  const Runtime::Level level(runtime_);
  runtime_.line = node.line;
  runtime_.step();
  switch (node.kind) {
    case Node::Kind::constant:
      return static_cast<const Constant&>(node).value;
    case Node::Kind::name:
      return name(static_cast<const Name&>(node), frame);
    case Node::Kind::sequence:
      return sequence(static_cast<const Sequence&>(node), frame);
    case Node::Kind::dict:
      return dict(static_cast<const DictLiteral&>(node), frame);
    case Node::Kind::unary:
      return unary(static_cast<const Unary&>(node), frame);
    case Node::Kind::binary:
      return binary(static_cast<const Binary&>(node), frame);
    case Node::Kind::concat:
      return concat(static_cast<const Concat&>(node), frame);
    case Node::Kind::compare:
      return compared(static_cast<const Compare&>(node), frame);
    case Node::Kind::attribute: {
      const auto& attribute = static_cast<const Attribute&>(node);
      const Value object = evaluate(*attribute.object, frame);
      runtime_.line = node.line;
      return attribute_of(runtime_, object, attribute.name);
    }
    case Node::Kind::item: {
      const auto& item = static_cast<const Item&>(node);
      const Value object = evaluate(*item.object, frame);
      const Value key = evaluate(*item.index, frame);
      runtime_.line = node.line;
      return item_of(runtime_, object, key);
    }
    case Node::Kind::slice:
      return slice(static_cast<const SliceOf&>(node), frame);
    case Node::Kind::call:
      return call(static_cast<const Call&>(node), frame);
    case Node::Kind::filter: {
      const auto& filtered = static_cast<const Filter&>(node);
      return filter(filtered, evaluate(*filtered.subject, frame), frame);
    }
    case Node::Kind::test:
      return tested(static_cast<const Test&>(node), frame);
    case Node::Kind::conditional:
      return conditional(static_cast<const Conditional&>(node), frame);
    default:
      throw base::Error(base::Fault::internal, "chat template: a statement as a value");
  }
}

Value Interpreter::name(const Name& name, const Frame& frame) const {
  const Value& value = at(name.slot, const_cast<Frame&>(frame));
  if (!value.is(Type::missing)) return value;
  return Value::undefined(fmt::format("'{}' is undefined", name.name));
}

Value Interpreter::sequence(const Sequence& node, Frame& frame) {
  Values items;
  for (const auto& item : node.items) items.push_back(evaluate(*item, frame));
  return make_list(runtime_, std::move(items), true, node.tuple ? Type::tuple : Type::list);
}

Value Interpreter::dict(const DictLiteral& node, Frame& frame) {
  auto result = std::make_shared<Dict>();
  for (const auto& [key, value] : node.items) {
    Value evaluated_key = evaluate(*key, frame);
    Value evaluated = evaluate(*value, frame);
    runtime_.line = node.line;
    result->set(runtime_, std::move(evaluated_key), std::move(evaluated));
  }
  return Value::object(Type::dict, std::move(result));
}

Value Interpreter::unary(const Unary& node, Frame& frame) {
  const Value operand = evaluate(*node.operand, frame);
  runtime_.line = node.line;
  switch (node.operation) {
    case Unary::Operator::plus:
      return positive(runtime_, operand);
    case Unary::Operator::minus:
      return negative(runtime_, operand);
    case Unary::Operator::negation:
      return Value::boolean(!truth(runtime_, operand));
  }
  return operand;
}

Value Interpreter::binary(const Binary& node, Frame& frame) {
  Value left = evaluate(*node.left, frame);
  if (node.operation == BinaryOperator::conjunction) {
    return truth(runtime_, left) ? evaluate(*node.right, frame) : left;
  }
  if (node.operation == BinaryOperator::disjunction) {
    return truth(runtime_, left) ? left : evaluate(*node.right, frame);
  }
  const Value right = evaluate(*node.right, frame);
  runtime_.line = node.line;
  return compute(runtime_, node.operation, left, right);
}

Value Interpreter::concat(const Concat& node, Frame& frame) {
  Values items;
  for (const auto& item : node.items) items.push_back(evaluate(*item, frame));
  runtime_.line = node.line;
  TextBuilder result(runtime_);
  for (const auto& item : items) append_string(runtime_, result, item);
  return Value::text(result.finish());
}

Value Interpreter::compared(const Compare& node, Frame& frame) {
  Value left = evaluate(*node.first, frame);
  for (const auto& [comparison, operand] : node.rest) {
    Value right = evaluate(*operand, frame);
    runtime_.line = node.line;
    if (!compare(runtime_, comparison, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::slice(const SliceOf& node, Frame& frame) {
  const Value object = evaluate(*node.object, frame);
  const auto bound = [&](const NodePtr& part) { return part ? evaluate(*part, frame) : Value(); };
  const Value start = bound(node.start);
  const Value stop = bound(node.stop);
  const Value step = bound(node.step);
  runtime_.line = node.line;
  return slice_of(runtime_, object, start, stop, step);
}

Arguments Interpreter::arguments(const ArgumentNodes& nodes, Frame& frame) {
  Arguments result;
  for (const auto& node : nodes.positional) result.positional.push_back(evaluate(*node, frame));
  for (const auto& [name, node] : nodes.named) {
    result.named.emplace_back(name, evaluate(*node, frame));
  }
  return result;
}

Value Interpreter::call(const Call& node, Frame& frame) {
  const Value callee = evaluate(*node.callee, frame);
  const Arguments given = arguments(node.arguments, frame);
  runtime_.line = node.line;
  switch (callee.type()) {
    case Type::function:
      return callee.as<Global>().function(runtime_, given);
    case Type::method:
      return callee.as<Method>().function(runtime_, callee.as<Method>().receiver, given);
    case Type::macro:
      return call_macro(callee.as<MacroValue>(), given);
    case Type::undefined:
      runtime_.fail(callee.as<Undefined>().message);
    default:
      runtime_.fail(fmt::format("{} cannot be called", type_name(callee)));
  }
}

Value Interpreter::call_macro(const MacroValue& value, const Arguments& given) {
  const Runtime::Level level(runtime_);
  const Macro& macro = *value.macro;
  const auto frame = enter(macro.function, value.parent);
  open(macro.scope, *frame);
  bind(macro, given, *frame);
  TextBuilder out(runtime_);
  execute(macro.body, *frame, out);
  return Value::text(out.finish());
}

void Interpreter::bind(const Macro& macro, const Arguments& given, Frame& frame) {
  const std::size_t count = macro.parameters.size();
  auto named = given.named;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& parameter = static_cast<const Name&>(*macro.parameters[i]);
    Value& place = frame.slots[parameter.slot.index];
    if (i < given.positional.size()) {
      place = given.positional[i];
      continue;
    }
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto& argument) {
      return argument.first == parameter.name;
    });
    if (found == named.end()) continue;
    place = found->second;
    named.erase(found);
  }
  if (macro.takes_caller) {
    const auto found = std::find_if(named.begin(), named.end(), [](const auto& argument) {
      return argument.first == "caller";
    });
    const bool none = found == named.end() || found->second.is(Type::none);
    frame.slots[macro.caller_slot] =
        none ? Value::undefined("no caller is defined") : found->second;
    if (found != named.end()) named.erase(found);
  }
  if (macro.takes_named) {
    auto rest = std::make_shared<Dict>();
    for (auto& [name, value] : named) rest->set(runtime_, Value::text(name), value);
    frame.slots[macro.named_slot] = Value::object(Type::dict, std::move(rest));
  } else if (!named.empty()) {
    runtime_.fail(
        fmt::format("macro '{}' takes no argument named '{}'", macro.name, named.front().first));
  }
  const std::size_t taken = std::min(count, given.positional.size());
  if (macro.takes_more) {
    frame.slots[macro.more_slot] =
        make_list(runtime_,
                  Values(given.positional.begin() + static_cast<std::ptrdiff_t>(taken),
                         given.positional.end()),
                  true, Type::tuple);
  } else if (given.positional.size() > count) {
    runtime_.fail(fmt::format("macro '{}' takes {} arguments, not {}", macro.name, count,
                              given.positional.size()));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto& parameter = static_cast<const Name&>(*macro.parameters[i]);
    if (!frame.slots[parameter.slot.index].is(Type::missing)) continue;
    const std::size_t without = count - macro.defaults.size();
    frame.slots[parameter.slot.index] =
        i < without
            ? Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name))
            : evaluate(*macro.defaults[i - without], frame);
  }
}

Value Interpreter::filter(const Filter& node, const Value& subject, Frame& frame) {
  const Arguments given = arguments(node.arguments, frame);
  runtime_.line = node.line;
  return node.function(runtime_, subject, given);
}

// The filters of a block; the innermost has no subject and gets the text.
Value Interpreter::filter_text(const Node& chain, Value text, Frame& frame) {
  const auto& node = static_cast<const Filter&>(chain);
  if (node.subject) text = filter_text(*node.subject, std::move(text), frame);
  return filter(node, text, frame);
}

Value Interpreter::tested(const Test& node, Frame& frame) {
  const Value subject = evaluate(*node.subject, frame);
  const Arguments given = arguments(node.arguments, frame);
  runtime_.line = node.line;
  return Value::boolean(node.function(runtime_, subject, given));
}

Value Interpreter::conditional(const Conditional& node, Frame& frame) {
  if (truth(runtime_, evaluate(*node.condition, frame))) return evaluate(*node.chosen, frame);
  if (node.otherwise) return evaluate(*node.otherwise, frame);
  return Value::undefined(
      fmt::format("the 'if' in line {} was false and has no 'else'", node.line));
}

Flow Interpreter::execute(const Nodes& body, Frame& frame, TextBuilder& out) {
  for (const auto& node : body) {
    const Flow flow = execute(*node, frame, out);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Flow Interpreter::execute(const Node& node, Frame& frame, TextBuilder& out) {
  const Runtime::Level level(runtime_);
  runtime_.line = node.line;
  runtime_.step();
  switch (node.kind) {
    case Node::Kind::output:
      output(static_cast<const Output&>(node), frame, out);
      break;
    case Node::Kind::set:
      set(static_cast<const Set&>(node), frame);
      break;
    case Node::Kind::set_block:
      return set_block(static_cast<const SetBlock&>(node), frame);
    case Node::Kind::branch:
      return branch(static_cast<const Branch&>(node), frame, out);
    case Node::Kind::loop:
      return loop(static_cast<const Loop&>(node), frame, out);
    case Node::Kind::macro:
      define(static_cast<const Macro&>(node), frame);
      break;
    case Node::Kind::generation:
      generation(static_cast<const Generation&>(node), frame, out);
      break;
    case Node::Kind::filter_block:
      return filter_block(static_cast<const FilterBlock&>(node), frame, out);
    case Node::Kind::with:
      return with(static_cast<const With&>(node), frame, out);
    case Node::Kind::jump:
      return static_cast<const Jump&>(node).leaves ? Flow::out : Flow::again;
    default:
      throw base::Error(base::Fault::internal, "chat template: a value as a statement");
  }
  return Flow::next;
}

void Interpreter::output(const Output& node, Frame& frame, TextBuilder& out) {
  for (const auto& part : node.parts) {
    const Value value = evaluate(*part, frame);
    runtime_.line = part->line;
    append_string(runtime_, out, value);
  }
}

void Interpreter::check_namespaces(const Node& target, Frame& frame) {
  if (target.kind == Node::Kind::namespace_target) {
    if (!at(static_cast<const NamespaceTarget&>(target).slot, frame).is(Type::name_space)) {
      runtime_.fail("an attribute can only be assigned on a namespace");
    }
  } else if (target.kind == Node::Kind::sequence) {
    for (const auto& item : static_cast<const Sequence&>(target).items) {
      check_namespaces(*item, frame);
    }
  }
}

void Interpreter::assign(const Node& target, const Value& value, Frame& frame) {
  if (target.kind == Node::Kind::name) {
    at(static_cast<const Name&>(target).slot, frame) = value;
  } else if (target.kind == Node::Kind::namespace_target) {
    const auto& place = static_cast<const NamespaceTarget&>(target);
    if (place.attribute.starts_with("_")) {
      runtime_.fail("an attribute of a namespace cannot begin with '_'");
    }
    Value& object = at(place.slot, frame);
    object.as<NameSpace>().attributes.set(runtime_, Value::text(place.attribute), value);
  } else {
    const auto& places = static_cast<const Sequence&>(target).items;
    const auto items = iterate(runtime_, value);
    Values parts;
    for (Value item; parts.size() <= places.size() && items->next(runtime_, item);) {
      parts.push_back(item);
    }
    if (parts.size() != places.size()) {
      runtime_.fail(
          fmt::format("{} values are needed to unpack, not {}", places.size(),
                      parts.size() > places.size() ? "more" : fmt::to_string(parts.size())));
    }
    for (std::size_t i = 0; i < places.size(); ++i) assign(*places[i], parts[i], frame);
  }
}

void Interpreter::set(const Set& node, Frame& frame) {
  check_namespaces(*node.target, frame);
  const Value value = evaluate(*node.value, frame);
  runtime_.line = node.line;
  assign(*node.target, value, frame);
}

Flow Interpreter::set_block(const SetBlock& node, Frame& frame) {
  open(node.scope, frame);
  TextBuilder text(runtime_);
  const Flow flow = execute(node.body, frame, text);
  if (flow != Flow::next) return flow;
  Value value = Value::text(text.finish());
  if (node.filter) value = filter_text(*node.filter, std::move(value), frame);
  runtime_.line = node.line;
  check_namespaces(*node.target, frame);
  assign(*node.target, value, frame);
  close(node.scope, frame);
  return Flow::next;
}

Flow Interpreter::branch(const Branch& node, Frame& frame, TextBuilder& out) {
  for (const auto& [condition, body] : node.cases) {
    if (truth(runtime_, evaluate(*condition, frame))) return execute(body, frame, out);
  }
  return execute(node.otherwise, frame, out);
}

Flow Interpreter::loop(const Loop& node, Frame& frame, TextBuilder& out) {
  const Value iterable = evaluate(*node.iterable, frame);
  runtime_.line = node.line;
  auto items = iterate(runtime_, iterable);
  Value through = iterable;
  if (node.condition) {
    auto conditioned = std::make_shared<Conditioned>();
    conditioned->interpreter = this;
    conditioned->loop = &node;
    conditioned->parent = &frame;
    conditioned->depth = iterable.depth() + 1;
    conditioned->source = std::move(items);
    items = std::move(conditioned);
    through = Value::object(Type::iterator, items);
  }
  const auto state = std::make_shared<LoopState>(std::move(through), std::move(items));
  runtime_.check_depth(state->depth);
  // A loop that a namespace holds can come to hold itself.
  if (node.has_loop_variable) {
    runtime_.keep(state);
    runtime_.work(sizeof(LoopState));
    at(node.loop_variable, frame) = Value::object(Type::loop, state);
  }
  const bool noted = iterations(node, *state, frame, out);
  close(node.body_scope, frame);
  if (noted || node.otherwise.empty()) return Flow::next;
  open(node.otherwise_scope, frame);
  const Flow flow = execute(node.otherwise, frame, out);
  if (flow == Flow::next) close(node.otherwise_scope, frame);
  return flow;
}

// Whether an iteration came to its end. Jinja2 notes that after the body, so that `break` and
// `continue` skip the note and `else` may follow them.
bool Interpreter::iterations(const Loop& node, LoopState& state, Frame& frame, TextBuilder& out) {
  bool noted = false;
  while (state.next(runtime_)) {
    runtime_.line = node.line;
    runtime_.step();
    assign(*node.target, state.current, frame);
    open(node.body_scope, frame);
    const Flow flow = execute(node.body, frame, out);
    if (flow == Flow::next) noted = true;
    if (flow == Flow::out) break;
  }
  return noted;
}

void Interpreter::define(const Macro& node, Frame& frame) {
  auto macro = std::make_shared<MacroValue>();
  macro->macro = &node;
  macro->parent = &frame;
  at(node.slot, frame) = Value::object(Type::macro, std::move(macro));
}

void Interpreter::generation(const Generation& node, Frame& frame, TextBuilder& out) {
  const auto inner = enter(node.function, &frame);
  open(node.scope, *inner);
  execute(node.body, *inner, out);
}

Flow Interpreter::filter_block(const FilterBlock& node, Frame& frame, TextBuilder& out) {
  open(node.scope, frame);
  TextBuilder text(runtime_);
  const Flow flow = execute(node.body, frame, text);
  if (flow != Flow::next) return flow;
  const Value filtered = filter_text(*node.filter, Value::text(text.finish()), frame);
  if (!filtered.is(Type::text)) {
    runtime_.fail(fmt::format("a filter block gives a {}, not a str", type_name(filtered)));
  }
  out.add(*filtered.text());
  close(node.scope, frame);
  return Flow::next;
}

Flow Interpreter::with(const With& node, Frame& frame, TextBuilder& out) {
  open(node.scope, frame);
  for (std::size_t i = 0; i < node.targets.size(); ++i) {
    assign(*node.targets[i], evaluate(*node.values[i], frame), frame);
  }
  const Flow flow = execute(node.body, frame, out);
  if (flow == Flow::next) close(node.scope, frame);
  return flow;
}

}  // namespace

std::string_view macro_name(const Value& macro) { return macro.as<MacroValue>().macro->name; }

TextPointer render(Runtime& runtime, const Tree& tree, const Dict& context) {
  return Interpreter(runtime, context).run(tree);
}

}  // namespace malina::text::jinja
