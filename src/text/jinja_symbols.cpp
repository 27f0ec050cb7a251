#include "text/jinja_symbols.h"

#include <fmt/format.h>

namespace malina::text::jinja {
namespace {

class Undeclared {
 public:
  explicit Undeclared(std::set<std::string> names) : names_(std::move(names)) {}

  std::set<std::string> in(const Nodes& nodes) {
    for (const auto& node : nodes) visit(node.get());
    return std::move(found_);
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

}  // namespace

std::set<std::string> undeclared(std::set<std::string> names, const Nodes& nodes) {
  return Undeclared(std::move(names)).in(nodes);
}

const Symbols* Symbols::owner(const std::string& name) const {
  for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_) {
    if (scope->references_.contains(name)) return scope;
  }
  return nullptr;
}

void Symbols::load(const std::string& name) {
  if (owner(name) == nullptr) define(name, {.from = Load::From::context, .name = name});
}

void Symbols::store(const std::string& name) {
  if (stores_.insert(name).second) stored_.push_back(name);
  if (!references_.contains(name)) define(name, before_store(name, Load::From::nothing));
}

std::uint32_t Symbols::declare_parameter(const std::string& name) {
  if (stores_.insert(name).second) stored_.push_back(name);
  return define(name, {.from = Load::From::parameter});
}

void Symbols::end_branches(std::size_t begin) {
  for (std::size_t i = begin; i < stored_.size(); ++i) {
    Load load = before_store(stored_[i], Load::From::context);
    load.index = references_.at(stored_[i]).index;
    loads_[load.index] = load;
  }
}

bool Symbols::from_context(const std::string& name) const {
  const Symbols* scope = owner(name);
  return scope->loads_.at(scope->references_.at(name).index).from == Load::From::context &&
         !scope->stores_.contains(name);
}

Scope Symbols::scope() const {
  Scope result;
  for (const auto& [index, load] : loads_) result.push_back(load);
  return result;
}

Load Symbols::before_store(const std::string& name, Load::From otherwise) const {
  const Symbols* outer = parent_ == nullptr ? nullptr : parent_->owner(name);
  if (outer != nullptr) return {.from = Load::From::outer, .outer = seen(outer->find(name))};
  return {.from = otherwise, .name = name};
}

std::uint32_t Symbols::define(const std::string& name, Load load) {
  const auto key =
      std::make_pair(static_cast<const Function*>(&function_), fmt::format("{}_{}", level_, name));
  const auto [place, added] = slots_.emplace(key, function_.slots);
  if (added) ++function_.slots;
  references_.insert_or_assign(name, Variable{&function_, place->second});
  load.index = place->second;
  loads_[load.index] = load;
  return load.index;
}

Slot Symbols::seen(const Variable& variable) const {
  Slot slot{.hops = 0, .index = variable.index};
  for (const Function* from = &function_; from != variable.function; from = from->parent) {
    ++slot.hops;
  }
  return slot;
}

}  // namespace malina::text::jinja
