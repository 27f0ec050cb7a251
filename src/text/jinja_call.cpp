// Calls of functions, methods and macros.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_interpreter_parts.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

auto find_named(NamedValues& named, std::string_view name) {
  return std::find_if(named.begin(), named.end(),
                      [&](const auto& argument) { return argument.first == name; });
}

}  // namespace

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
  NamedValues named = given.named;
  bind_parameters(macro, given, named, frame);
  if (macro.takes_caller) bind_caller(macro, named, frame);
  bind_rest(macro, given, std::move(named), frame);
  bind_defaults(macro, frame);
}

// Takes out of `named` what is a parameter's.
void Interpreter::bind_parameters(const Macro& macro, const Arguments& given, NamedValues& named,
                                  Frame& frame) {
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& parameter = static_cast<const Name&>(*macro.parameters[i]);
    Value& place = frame.slots[parameter.slot.index];
    if (i < given.positional.size()) {
      place = given.positional[i];
      continue;
    }
    const auto found = find_named(named, parameter.name);
    if (found == named.end()) continue;
    place = found->second;
    named.erase(found);
  }
}

void Interpreter::bind_caller(const Macro& macro, NamedValues& named, Frame& frame) {
  const auto found = find_named(named, "caller");
  const bool none = found == named.end() || found->second.is(Type::none);
  frame.slots[macro.caller_slot] = none ? Value::undefined("no caller is defined") : found->second;
  if (found != named.end()) named.erase(found);
}

// What is left goes to kwargs and varargs, where the macro reads them.
void Interpreter::bind_rest(const Macro& macro, const Arguments& given, NamedValues named,
                            Frame& frame) {
  const std::size_t count = macro.parameters.size();
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
}

void Interpreter::bind_defaults(const Macro& macro, Frame& frame) {
  const std::size_t count = macro.parameters.size();
  const std::size_t without = count - macro.defaults.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto& parameter = static_cast<const Name&>(*macro.parameters[i]);
    if (!frame.slots[parameter.slot.index].is(Type::missing)) continue;
    frame.slots[parameter.slot.index] =
        i < without
            ? Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name))
            : evaluate(*macro.defaults[i - without], frame);
  }
}

void Interpreter::define(const Macro& node, Frame& frame) {
  auto macro = std::make_shared<MacroValue>();
  macro->macro = &node;
  macro->parent = &frame;
  at(node.slot, frame) = Value::object(Type::macro, std::move(macro));
}

std::string_view macro_name(const Value& macro) { return macro.as<MacroValue>().macro->name; }

}  // namespace malina::text::jinja
