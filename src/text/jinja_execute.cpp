// The statements of a template.
#include <fmt/format.h>

#include "text/jinja_interpreter_parts.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

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

}  // namespace

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

}  // namespace malina::text::jinja
