// The variables of a scope, while they get their places (jinja2/idtracking.py).
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"

namespace malina::text::jinja {

// Variables of scopes that stand side by side share a slot, as they share a name in the Python that
// Jinja2 compiles them to.
using SlotNames = std::map<std::pair<const Function*, std::string>, std::uint32_t>;

// jinja2.idtracking.Symbols: the variables of one scope. Borrows all that it is given.
class Symbols {
 public:
  Symbols(const Symbols* parent, Function& function, SlotNames& slots)
      : parent_(parent),
        level_(parent == nullptr ? 0 : parent->level_ + 1),
        function_(function),
        slots_(slots) {}

  // Each name is read or assigned in this scope, in the order of the source.
  void load(const std::string& name);
  void store(const std::string& name);
  std::uint32_t declare_parameter(const std::string& name);

  // A name that only a branch assigns has, where the branch is not taken, the value it has outside.
  std::size_t begin_branches() const { return stored_.size(); }
  void end_branches(std::size_t begin);

  // Of a name that this scope or one around it has: where it is, seen from here, and whether it
  // comes from outside the template, where nothing in it assigns the name.
  Slot slot(const std::string& name) const { return seen(find(name)); }
  bool from_context(const std::string& name) const;

  Scope scope() const;

 private:
  struct Variable {
    Function* function;
    std::uint32_t index;
  };

  const Symbols* owner(const std::string& name) const;
  Variable find(const std::string& name) const { return owner(name)->references_.at(name); }
  Load before_store(const std::string& name, Load::From otherwise) const;
  std::uint32_t define(const std::string& name, Load load);
  Slot seen(const Variable& variable) const;

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
std::set<std::string> undeclared(std::set<std::string> names, const Nodes& nodes);

}  // namespace malina::text::jinja
