// The tree of a template, and where its variables live.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace malina::text::jinja {

struct Node;
using NodePtr = std::unique_ptr<Node>;
using Nodes = std::vector<NodePtr>;

// A body that runs with variables of its own: the template, a macro, a generation block, the test
// of a loop. (Jinja2 compiles each of them to one Python function.)
struct Function {
  const Function* parent = nullptr;
  std::uint32_t slots = 0;
  bool kept = false;  // others may use its variables after it returned
};

// A variable, seen from a place in the tree: `hops` functions outwards, at `index` there.
struct Slot {
  std::uint32_t hops = 0;
  std::uint32_t index = 0;
};

// What a scope does with its variables when it begins; when it ends they are forgotten.
struct Load {
  enum class From { parameter, context, outer, nothing };
  From from = From::nothing;
  std::uint32_t index = 0;  // in the function of the scope
  Slot outer = {};
  std::string name = {};
};
using Scope = std::vector<Load>;

struct Node {
  enum class Kind : std::uint8_t {
    // expressions
    constant,
    name,
    namespace_target,
    sequence,
    dict,
    unary,
    binary,
    concat,
    compare,
    attribute,
    item,
    slice,
    call,
    filter,
    test,
    conditional,
    // statements
    output,
    set,
    set_block,
    branch,
    loop,
    macro,
    generation,
    filter_block,
    with,
    jump,
  };
  Node(Kind node_kind, int node_line) : kind(node_kind), line(node_line) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;

  // The nodes below, in the order in which Jinja2 names its fields: that order decides how it reads
  // `caller`, `kwargs` and `varargs` in a macro. A child may be null.
  virtual void children(const std::function<void(Node*)>& visit) { (void)visit; }

  Kind kind;
  int line;
  int depth = 1;  // of the tree from here downwards
};

struct Constant : Node {
  Constant(int at, Value constant) : Node(Kind::constant, at), value(std::move(constant)) {}
  Value value;
};

struct Name : Node {
  enum class Use : std::uint8_t { load, store, parameter };
  Name(int at, std::string spelled) : Node(Kind::name, at), name(std::move(spelled)) {}
  std::string name;
  Use use = Use::load;
  Slot slot = {};
};

struct NamespaceTarget : Node {  // ns.attribute, as a target
  NamespaceTarget(int at, std::string object, std::string field)
      : Node(Kind::namespace_target, at), name(std::move(object)), attribute(std::move(field)) {}
  std::string name, attribute;
  Slot slot = {};
};

struct Sequence : Node {
  Sequence(int at, bool is_tuple) : Node(Kind::sequence, at), tuple(is_tuple) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& item : items) visit(item.get());
  }
  bool tuple;
  Nodes items;
};

struct DictLiteral : Node {
  explicit DictLiteral(int at) : Node(Kind::dict, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& [key, value] : items) visit(key.get()), visit(value.get());
  }
  std::vector<std::pair<NodePtr, NodePtr>> items;
};

struct Unary : Node {
  enum class Operator : std::uint8_t { plus, minus, negation };
  Unary(int at, Operator kind_of, NodePtr below)
      : Node(Kind::unary, at), operation(kind_of), operand(std::move(below)) {}
  void children(const std::function<void(Node*)>& visit) override { visit(operand.get()); }
  Operator operation;
  NodePtr operand;
};

enum class BinaryOperator : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  conjunction,
  disjunction,
};

struct Binary : Node {
  Binary(int at, BinaryOperator kind_of, NodePtr first, NodePtr second)
      : Node(Kind::binary, at),
        operation(kind_of),
        left(std::move(first)),
        right(std::move(second)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(left.get());
    visit(right.get());
  }
  BinaryOperator operation;
  NodePtr left, right;
};

struct Concat : Node {
  explicit Concat(int at) : Node(Kind::concat, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& item : items) visit(item.get());
  }
  Nodes items;
};

enum class Comparison : std::uint8_t {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

struct Compare : Node {
  Compare(int at, NodePtr left) : Node(Kind::compare, at), first(std::move(left)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(first.get());
    for (auto& [comparison, operand] : rest) visit(operand.get());
  }
  NodePtr first;
  std::vector<std::pair<Comparison, NodePtr>> rest;
};

struct Attribute : Node {
  Attribute(int at, NodePtr of, std::string spelled)
      : Node(Kind::attribute, at), object(std::move(of)), name(std::move(spelled)) {}
  void children(const std::function<void(Node*)>& visit) override { visit(object.get()); }
  NodePtr object;
  std::string name;
};

struct Item : Node {
  Item(int at, NodePtr of, NodePtr key)
      : Node(Kind::item, at), object(std::move(of)), index(std::move(key)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(object.get());
    visit(index.get());
  }
  NodePtr object, index;
};

struct SliceOf : Node {  // each bound may be null
  SliceOf(int at, NodePtr of) : Node(Kind::slice, at), object(std::move(of)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(object.get());
    visit(start.get());
    visit(stop.get());
    visit(step.get());
  }
  NodePtr object, start, stop, step;
};

struct ArgumentNodes {
  void children(const std::function<void(Node*)>& visit) {
    for (auto& value : positional) visit(value.get());
    for (auto& [name, value] : named) visit(value.get());
  }
  Nodes positional;
  std::vector<std::pair<std::string, NodePtr>> named;
};

struct Call : Node {
  Call(int at, NodePtr what) : Node(Kind::call, at), callee(std::move(what)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(callee.get());
    arguments.children(visit);
  }
  NodePtr callee;
  ArgumentNodes arguments;
};

struct Filter : Node {
  explicit Filter(int at) : Node(Kind::filter, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(subject.get());
    arguments.children(visit);
  }
  NodePtr subject;  // null: the text of the block whose filter this is
  FilterFunction function = nullptr;
  ArgumentNodes arguments;
};

struct Test : Node {
  Test(int at, NodePtr of) : Node(Kind::test, at), subject(std::move(of)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(subject.get());
    arguments.children(visit);
  }
  NodePtr subject;
  TestFunction function = nullptr;
  ArgumentNodes arguments;
};

struct Conditional : Node {
  explicit Conditional(int at) : Node(Kind::conditional, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(condition.get());
    visit(chosen.get());
    visit(otherwise.get());
  }
  NodePtr condition, chosen, otherwise;  // otherwise may be null
};

struct Output : Node {
  explicit Output(int at) : Node(Kind::output, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& part : parts) visit(part.get());
  }
  Nodes parts;
};

struct Set : Node {
  Set(int at, NodePtr to) : Node(Kind::set, at), target(std::move(to)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(target.get());
    visit(value.get());
  }
  NodePtr target, value;
};

struct SetBlock : Node {
  SetBlock(int at, NodePtr to) : Node(Kind::set_block, at), target(std::move(to)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(target.get());
    visit(filter.get());
    for (auto& statement : body) visit(statement.get());
  }
  NodePtr target, filter;  // filter may be null
  Nodes body;
  Scope scope;
};

struct Branch : Node {  // if, elif ..., else
  explicit Branch(int at) : Node(Kind::branch, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& [condition, body] : cases) {
      visit(condition.get());
      for (auto& statement : body) visit(statement.get());
    }
    for (auto& statement : otherwise) visit(statement.get());
  }
  std::vector<std::pair<NodePtr, Nodes>> cases;
  Nodes otherwise;
};

struct Loop : Node {
  Loop(int at, NodePtr to) : Node(Kind::loop, at), target(std::move(to)) {}
  void children(const std::function<void(Node*)>& visit) override {
    visit(target.get());
    visit(iterable.get());
    for (auto& statement : body) visit(statement.get());
    for (auto& statement : otherwise) visit(statement.get());
    visit(condition.get());
  }
  NodePtr target, iterable, condition;  // condition may be null
  NodePtr condition_target;             // the target once more, in the variables of the condition
  Nodes body, otherwise;
  bool has_loop_variable = false;
  Slot loop_variable = {};
  Scope body_scope, otherwise_scope, condition_scope;
  Function condition_function;
};

struct Macro : Node {
  explicit Macro(int at) : Node(Kind::macro, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& parameter : parameters) visit(parameter.get());
    for (auto& value : defaults) visit(value.get());
    for (auto& statement : body) visit(statement.get());
  }
  std::string name;
  Slot slot = {};
  Nodes parameters;  // Name nodes
  Nodes defaults;    // of the last parameters
  Nodes body;
  bool takes_caller = false, takes_named = false, takes_more = false;
  std::uint32_t caller_slot = 0, named_slot = 0, more_slot = 0;
  Function function;
  Scope scope;
};

struct Generation : Node {
  explicit Generation(int at) : Node(Kind::generation, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& statement : body) visit(statement.get());
  }
  Nodes body;
  Function function;
  Scope scope;
};

struct FilterBlock : Node {
  explicit FilterBlock(int at) : Node(Kind::filter_block, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& statement : body) visit(statement.get());
    visit(filter.get());
  }
  NodePtr filter;
  Nodes body;
  Scope scope;
};

struct With : Node {
  explicit With(int at) : Node(Kind::with, at) {}
  void children(const std::function<void(Node*)>& visit) override {
    for (auto& target : targets) visit(target.get());
    for (auto& value : values) visit(value.get());
    for (auto& statement : body) visit(statement.get());
  }
  Nodes targets, values, body;
  Scope scope;
};

struct Jump : Node {  // break, continue
  Jump(int at, bool out) : Node(Kind::jump, at), leaves(out) {}
  bool leaves;
};

struct Tree {
  Nodes body;
  Function function;
  Scope scope;
};

}  // namespace malina::text::jinja
