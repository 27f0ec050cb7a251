#include "text/jinja_scope.h"

#include "text/jinja_filters.h"
#include "text/jinja_symbols.h"

namespace malina::text::jinja {
namespace {

NodePtr copy_target(const Node& target) {
  if (target.kind == Node::Kind::name) {
    auto copy = std::make_unique<Name>(target.line, static_cast<const Name&>(target).name);
    copy->use = Name::Use::store;
    return copy;
  }
  auto copy = std::make_unique<Sequence>(target.line, true);
  for (const auto& item : static_cast<const Sequence&>(target).items) {
    copy->items.push_back(copy_target(*item));
  }
  return copy;
}

class Placer {
 public:
  void run(Tree& tree) {
    Symbols symbols(nullptr, tree.function, slots_);
    for (auto& node : tree.body) collect(*node, symbols);
    place(tree.body, symbols, tree.function);
    tree.scope = symbols.scope();
  }

 private:
  // FrameSymbolVisitor: the names that belong to the scope of `symbols`. It stops at what opens a
  // scope of its own.
  void collect(Node& node, Symbols& symbols);
  void collect(Node* node, Symbols& symbols) {
    if (node != nullptr) collect(*node, symbols);
  }
  void collect(Nodes& nodes, Symbols& symbols) {
    for (auto& node : nodes) collect(*node, symbols);
  }
  void collect_branch(Branch& branch, Symbols& symbols);
  void declare(Node& target, Symbols& symbols);

  // Then every name gets its slot.
  void place(Node& node, Symbols& symbols, Function& function);
  void place(Node* node, Symbols& symbols, Function& function) {
    if (node != nullptr) place(*node, symbols, function);
  }
  void place(Nodes& nodes, Symbols& symbols, Function& function) {
    for (auto& node : nodes) place(*node, symbols, function);
  }
  void place_name(Name& name, const Symbols& symbols) const;
  void place_call(const Call& call, const Symbols& symbols) const;
  void place_loop(Loop& loop, Symbols& symbols, Function& function);
  void place_macro(Macro& macro, Symbols& symbols, Function& function);
  void place_generation(Generation& generation, Symbols& symbols, Function& function);
  void place_set_block(SetBlock& block, Symbols& symbols, Function& function);
  void place_filter_block(FilterBlock& block, Symbols& symbols, Function& function);
  void place_with(With& with, Symbols& symbols, Function& function);

  SlotNames slots_;
  int loops_ = 0;  // around this place
};

void Placer::collect(Node& node, Symbols& symbols) {
  switch (node.kind) {
    case Node::Kind::name: {
      const auto& name = static_cast<const Name&>(node);
      if (name.use == Name::Use::load) {
        symbols.load(name.name);
      } else if (name.use == Name::Use::store) {
        symbols.store(name.name);
      } else {
        symbols.declare_parameter(name.name);
      }
      return;
    }
    case Node::Kind::namespace_target:
      return symbols.load(static_cast<const NamespaceTarget&>(node).name);
    case Node::Kind::branch:
      return collect_branch(static_cast<Branch&>(node), symbols);
    case Node::Kind::macro:
      return symbols.store(static_cast<const Macro&>(node).name);
    case Node::Kind::set:
      collect(*static_cast<Set&>(node).value, symbols);
      return collect(*static_cast<Set&>(node).target, symbols);
    case Node::Kind::loop:
      return collect(*static_cast<Loop&>(node).iterable, symbols);
    case Node::Kind::generation:
      return;
    case Node::Kind::filter_block:
      return collect(*static_cast<FilterBlock&>(node).filter, symbols);
    case Node::Kind::with:
      return collect(static_cast<With&>(node).values, symbols);
    case Node::Kind::set_block:
      return collect(*static_cast<SetBlock&>(node).target, symbols);
    default:
      node.children([&](Node* child) { collect(child, symbols); });
  }
}

void Placer::collect_branch(Branch& branch, Symbols& symbols) {
  collect(*branch.cases.front().first, symbols);
  const std::size_t begin = symbols.begin_branches();
  for (std::size_t i = 0; i < branch.cases.size(); ++i) {
    if (i > 0) collect(*branch.cases[i].first, symbols);
    collect(branch.cases[i].second, symbols);
  }
  collect(branch.otherwise, symbols);
  symbols.end_branches(begin);
}

void Placer::declare(Node& target, Symbols& symbols) {
  if (target.kind == Node::Kind::name) {
    symbols.declare_parameter(static_cast<const Name&>(target).name);
  } else {
    target.children([&](Node* child) { declare(*child, symbols); });
  }
}

void Placer::place(Node& node, Symbols& symbols, Function& function) {
  switch (node.kind) {
    case Node::Kind::name:
      return place_name(static_cast<Name&>(node), symbols);
    case Node::Kind::namespace_target: {
      auto& target = static_cast<NamespaceTarget&>(node);
      target.slot = symbols.slot(target.name);
      return;
    }
    case Node::Kind::loop:
      return place_loop(static_cast<Loop&>(node), symbols, function);
    case Node::Kind::macro:
      return place_macro(static_cast<Macro&>(node), symbols, function);
    case Node::Kind::generation:
      return place_generation(static_cast<Generation&>(node), symbols, function);
    case Node::Kind::set_block:
      return place_set_block(static_cast<SetBlock&>(node), symbols, function);
    case Node::Kind::filter_block:
      return place_filter_block(static_cast<FilterBlock&>(node), symbols, function);
    case Node::Kind::with:
      return place_with(static_cast<With&>(node), symbols, function);
    case Node::Kind::call:
      place_call(static_cast<const Call&>(node), symbols);
      break;
    default:
      break;
  }
  node.children([&](Node* child) { place(child, symbols, function); });
}

void Placer::place_name(Name& name, const Symbols& symbols) const {
  if (name.use == Name::Use::store && name.name == "loop" && loops_ > 0) {
    refuse(base::Fault::corrupt_file, name.line, "'loop' cannot be assigned to in a loop");
  }
  name.slot = symbols.slot(name.name);
  if (is_unsupported_global(name.name) && symbols.from_context(name.name)) {
    refuse(base::Fault::unsupported, name.line, "'" + name.name + "' is not supported");
  }
}

void Placer::place_call(const Call& call, const Symbols& symbols) const {
  if (call.callee->kind != Node::Kind::name) return;
  const auto& name = static_cast<const Name&>(*call.callee).name;
  if (symbols.from_context(name) && find_global(name) == nullptr) {
    refuse(base::Fault::unsupported, call.line, "function '" + name + "' is not supported");
  }
}

void Placer::place_loop(Loop& loop, Symbols& symbols, Function& function) {
  place(*loop.iterable, symbols, function);
  ++loops_;
  Symbols body(&symbols, function, slots_);
  loop.has_loop_variable = !undeclared({"loop"}, loop.body).empty();
  if (loop.has_loop_variable) loop.loop_variable = {0, body.declare_parameter("loop")};
  declare(*loop.target, body);
  collect(loop.body, body);

  Symbols otherwise(&symbols, function, slots_);
  collect(loop.otherwise, otherwise);

  if (loop.condition) {
    loop.condition_function.parent = &function;
    function.kept = true;  // its variables are read when the next item is asked for
    Symbols condition(&symbols, loop.condition_function, slots_);
    loop.condition_target = copy_target(*loop.target);
    declare(*loop.target, condition);
    collect(*loop.condition, condition);
    place(*loop.condition_target, condition, loop.condition_function);
    place(*loop.condition, condition, loop.condition_function);
    loop.condition_scope = condition.scope();
  }
  place(*loop.target, body, function);
  place(loop.body, body, function);
  place(loop.otherwise, otherwise, function);
  --loops_;
  loop.body_scope = body.scope();
  loop.otherwise_scope = otherwise.scope();
}

void Placer::place_macro(Macro& macro, Symbols& symbols, Function& function) {
  macro.slot = symbols.slot(macro.name);
  macro.function.parent = &function;
  function.kept = true;
  Symbols inner(&symbols, macro.function, slots_);
  collect(macro.parameters, inner);
  collect(macro.defaults, inner);
  collect(macro.body, inner);

  const auto special = undeclared({"caller", "kwargs", "varargs"}, macro.body);
  const auto parameter = [&](const std::string& name) {
    for (const auto& node : macro.parameters) {
      if (static_cast<const Name&>(*node).name == name) return true;
    }
    return false;
  };
  const auto declared = [&](const std::string& name, std::uint32_t& slot) {
    if (!special.contains(name) || parameter(name)) return false;
    slot = inner.declare_parameter(name);
    return true;
  };
  if (parameter("caller")) {
    refuse(base::Fault::unsupported, macro.line, "a parameter named 'caller' is not supported");
  }
  macro.takes_caller = declared("caller", macro.caller_slot);
  macro.takes_named = declared("kwargs", macro.named_slot);
  macro.takes_more = declared("varargs", macro.more_slot);
  place(macro.parameters, inner, macro.function);
  place(macro.defaults, inner, macro.function);
  place(macro.body, inner, macro.function);
  macro.scope = inner.scope();
}

void Placer::place_generation(Generation& generation, Symbols& symbols, Function& function) {
  generation.function.parent = &function;
  Symbols inner(&symbols, generation.function, slots_);
  collect(generation.body, inner);
  place(generation.body, inner, generation.function);
  generation.scope = inner.scope();
  if (generation.function.kept) function.kept = true;  // what uses those variables uses these
}

void Placer::place_set_block(SetBlock& block, Symbols& symbols, Function& function) {
  place(*block.target, symbols, function);
  Symbols inner(&symbols, function, slots_);
  collect(block.body, inner);
  collect(block.filter.get(), inner);
  place(block.filter.get(), inner, function);
  place(block.body, inner, function);
  block.scope = inner.scope();
}

void Placer::place_filter_block(FilterBlock& block, Symbols& symbols, Function& function) {
  Symbols inner(&symbols, function, slots_);
  collect(block.body, inner);
  collect(*block.filter, inner);
  place(*block.filter, inner, function);
  place(block.body, inner, function);
  block.scope = inner.scope();
}

void Placer::place_with(With& with, Symbols& symbols, Function& function) {
  place(with.values, symbols, function);
  Symbols inner(&symbols, function, slots_);
  for (auto& target : with.targets) declare(*target, inner);
  collect(with.body, inner);
  place(with.targets, inner, function);
  place(with.body, inner, function);
  with.scope = inner.scope();
}

}  // namespace

void place_variables(Tree& tree) { Placer().run(tree); }

}  // namespace malina::text::jinja
