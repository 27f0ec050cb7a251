#include "text/jinja_scope.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

#include "text/jinja_filters.h"

namespace malina::text::jinja {
namespace {

struct Variable {
  Function* function;
  std::uint32_t index;
};

// Variables of scopes that stand side by side share a slot, as they share a name in the Python that
// Jinja2 compiles them to.
using SlotNames = std::map<std::pair<const Function*, std::string>, std::uint32_t>;

// jinja2.idtracking.Symbols: the variables of one scope.
class Symbols {
 public:
  Symbols(const Symbols* parent, Function& function, SlotNames& slots)
      : parent_(parent),
        level_(parent == nullptr ? 0 : parent->level_ + 1),
        function_(function),
        slots_(slots) {}

  const Symbols* owner(const std::string& name) const {
    for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_) {
      if (scope->references_.contains(name)) return scope;
    }
    return nullptr;
  }
  Variable find(const std::string& name) const { return owner(name)->references_.at(name); }
  Slot slot(const std::string& name) const { return seen(find(name)); }

  void load(const std::string& name) {
    if (owner(name) == nullptr) define(name, {.from = Load::From::context, .name = name});
  }

  void store(const std::string& name) {
    if (stores_.insert(name).second) stored_.push_back(name);
    if (!references_.contains(name)) define(name, before_store(name, Load::From::nothing));
  }

  std::uint32_t declare_parameter(const std::string& name) {
    if (stores_.insert(name).second) stored_.push_back(name);
    return define(name, {.from = Load::From::parameter});
  }

  // A name that only a branch assigns has, where the branch is not taken, the value it has outside.
  std::size_t begin_branches() const { return stored_.size(); }
  void end_branches(std::size_t begin) {
    for (std::size_t i = begin; i < stored_.size(); ++i) {
      Load load = before_store(stored_[i], Load::From::context);
      load.index = references_.at(stored_[i]).index;
      loads_[load.index] = load;
    }
  }

  // Comes from outside the template: nothing in it assigns the name.
  bool from_context(const std::string& name) const {
    const Symbols* scope = owner(name);
    return scope->loads_.at(scope->references_.at(name).index).from == Load::From::context &&
           !scope->stores_.contains(name);
  }

  Scope scope() const {
    Scope result;
    for (const auto& [index, load] : loads_) result.push_back(load);
    return result;
  }

 private:
  Load before_store(const std::string& name, Load::From otherwise) const {
    const Symbols* outer = parent_ == nullptr ? nullptr : parent_->owner(name);
    if (outer != nullptr) return {.from = Load::From::outer, .outer = seen(outer->find(name))};
    return {.from = otherwise, .name = name};
  }

  std::uint32_t define(const std::string& name, Load load) {
    const auto key = std::make_pair(static_cast<const Function*>(&function_),
                                    fmt::format("{}_{}", level_, name));
    const auto [place, added] = slots_.emplace(key, function_.slots);
    if (added) ++function_.slots;
    references_.insert_or_assign(name, Variable{&function_, place->second});
    load.index = place->second;
    loads_[load.index] = load;
    return load.index;
  }

  Slot seen(const Variable& variable) const {
    Slot slot{.hops = 0, .index = variable.index};
    for (const Function* from = &function_; from != variable.function; from = from->parent) {
      ++slot.hops;
    }
    return slot;
  }

  const Symbols* parent_;
  int level_;
  Function& function_;
  SlotNames& slots_;
  std::map<std::string, Variable> references_;
  std::map<std::uint32_t, Load> loads_;
  std::set<std::string> stores_;
  std::vector<std::string> stored_;  // in order
};

// Which of `names` the nodes read before they assign them (find_undeclared of jinja2/compiler.py).
class Undeclared {
 public:
  explicit Undeclared(std::set<std::string> names) : names_(std::move(names)) {}

  std::set<std::string> in(const Nodes& nodes) {
    for (const auto& node : nodes) visit(node.get());
    return found_;
  }

 private:
  void visit(Node* node) {
    if (node == nullptr || found_ == names_) return;
    if (node->kind == Node::Kind::name) {
      const auto& name = static_cast<const Name&>(*node);
      if (name.use == Name::Use::load && names_.contains(name.name)) {
        found_.insert(name.name);
      } else {
        names_.erase(name.name);
      }
    }
    node->children([this](Node* child) { visit(child); });
  }

  std::set<std::string> names_, found_;
};

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
  loop.has_loop_variable = !Undeclared({"loop"}).in(loop.body).empty();
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

  const auto special = Undeclared({"caller", "kwargs", "varargs"}).in(macro.body);
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
