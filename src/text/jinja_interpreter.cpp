#include "text/jinja_interpreter.h"

#include <fmt/format.h>

#include "text/jinja_filters.h"
#include "text/jinja_interpreter_parts.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {

TextPointer Interpreter::run(const Tree& tree) {
  TextBuilder out(runtime_);
  const auto frame = enter(tree.function, nullptr);
  open(tree.scope, *frame);
  execute(tree.body, *frame, out);
  return out.finish();
}

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

TextPointer render(Runtime& runtime, const Tree& tree, const Dict& context) {
  return Interpreter(runtime, context).run(tree);
}

}  // namespace malina::text::jinja
