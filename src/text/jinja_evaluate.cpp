// The expressions of a template.
#include <fmt/format.h>

#include "text/jinja_interpreter_parts.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {

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
    case Node::Kind::attribute:
      return attribute(static_cast<const Attribute&>(node), frame);
    case Node::Kind::item:
      return item(static_cast<const Item&>(node), frame);
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

Value Interpreter::attribute(const Attribute& node, Frame& frame) {
  const Value object = evaluate(*node.object, frame);
  runtime_.line = node.line;
  return attribute_of(runtime_, object, node.name);
}

Value Interpreter::item(const Item& node, Frame& frame) {
  const Value object = evaluate(*node.object, frame);
  const Value key = evaluate(*node.index, frame);
  runtime_.line = node.line;
  return item_of(runtime_, object, key);
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

}  // namespace malina::text::jinja
