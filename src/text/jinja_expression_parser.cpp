#include "text/jinja_expression_parser.h"

#include <fmt/format.h>

#include <array>

namespace malina::text::jinja {
namespace {

struct Sign {
  std::string_view symbol;
  BinaryOperator operation;
};
constexpr std::array<Sign, 2> kSums = {
    {{"+", BinaryOperator::add}, {"-", BinaryOperator::subtract}}};
constexpr std::array<Sign, 4> kProducts = {{{"*", BinaryOperator::multiply},
                                            {"/", BinaryOperator::divide},
                                            {"//", BinaryOperator::floor_divide},
                                            {"%", BinaryOperator::modulo}}};
struct Relation {
  std::string_view symbol;
  Comparison comparison;
};
constexpr std::array<Relation, 6> kRelations = {{{"==", Comparison::equal},
                                                 {"!=", Comparison::not_equal},
                                                 {"<", Comparison::less},
                                                 {"<=", Comparison::less_equal},
                                                 {">", Comparison::greater},
                                                 {">=", Comparison::greater_equal}}};

template <typename Table>
const typename Table::value_type* find_symbol(const Table& table, const Lexeme& lexeme) {
  for (const auto& entry : table) {
    if (lexeme.is_symbol(entry.symbol)) return &entry;
  }
  return nullptr;
}

}  // namespace

NodePtr ExpressionParser::expression(bool with_conditional) {
  const Level level(*this);
  if (!with_conditional) return disjunction();
  int line = current().line;
  NodePtr chosen = disjunction();
  while (take_name("if")) {
    auto node = std::make_unique<Conditional>(line);
    node->chosen = std::move(chosen);
    node->condition = disjunction();
    if (take_name("else")) node->otherwise = expression();
    chosen = finish(std::move(node));
    line = current().line;
  }
  return chosen;
}

NodePtr ExpressionParser::disjunction() {
  const int line = current().line;
  NodePtr left = conjunction();
  while (take_name("or")) {
    left = make<Binary>(line, BinaryOperator::disjunction, std::move(left), conjunction());
  }
  return left;
}

NodePtr ExpressionParser::conjunction() {
  const int line = current().line;
  NodePtr left = negation();
  while (take_name("and")) {
    left = make<Binary>(line, BinaryOperator::conjunction, std::move(left), negation());
  }
  return left;
}

NodePtr ExpressionParser::negation() {
  const Level level(*this);
  const int line = current().line;
  if (take_name("not")) return make<Unary>(line, Unary::Operator::negation, negation());
  return comparison();
}

NodePtr ExpressionParser::comparison() {
  auto node = std::make_unique<Compare>(current().line, sum());
  for (;;) {
    if (const auto* relation = find_symbol(kRelations, current())) {
      take();
      node->rest.emplace_back(relation->comparison, sum());
    } else if (take_name("in")) {
      node->rest.emplace_back(Comparison::in, sum());
    } else if (current().is_name("not") && ahead().is_name("in")) {
      take();
      take();
      node->rest.emplace_back(Comparison::not_in, sum());
    } else {
      break;
    }
  }
  if (node->rest.empty()) return std::move(node->first);
  return finish(std::move(node));
}

NodePtr ExpressionParser::sum() {
  const int line = current().line;
  NodePtr left = concatenation();
  while (const auto* sign = find_symbol(kSums, current())) {
    take();
    left = make<Binary>(line, sign->operation, std::move(left), concatenation());
  }
  return left;
}

NodePtr ExpressionParser::concatenation() {
  auto node = std::make_unique<Concat>(current().line);
  node->items.push_back(product());
  while (take_symbol("~")) node->items.push_back(product());
  if (node->items.size() == 1) return std::move(node->items.front());
  return finish(std::move(node));
}

NodePtr ExpressionParser::product() {
  const int line = current().line;
  NodePtr left = power();
  while (const auto* sign = find_symbol(kProducts, current())) {
    take();
    left = make<Binary>(line, sign->operation, std::move(left), power());
  }
  return left;
}

NodePtr ExpressionParser::power() {
  const int line = current().line;
  NodePtr left = unary();
  while (take_symbol("**")) {
    left = make<Binary>(line, BinaryOperator::power, std::move(left), unary());
  }
  return left;
}

NodePtr ExpressionParser::unary(bool with_filters) {
  const Level level(*this);
  const int line = current().line;
  NodePtr node;
  if (take_symbol("-")) {
    node = make<Unary>(line, Unary::Operator::minus, unary(false));
  } else if (take_symbol("+")) {
    node = make<Unary>(line, Unary::Operator::plus, unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

NodePtr ExpressionParser::primary(bool namespace_target) {
  const Lexeme lexeme = current();
  switch (lexeme.kind) {
    case Kind::name:
      return name(namespace_target);
    case Kind::string:
      return string();
    case Kind::integer:
      take();
      return make<Constant>(lexeme.line, Value::integer(lexeme.integer));
    case Kind::real:
      take();
      return make<Constant>(lexeme.line, Value::real(lexeme.real));
    default:
      break;
  }
  if (take_symbol("(")) {
    NodePtr node = tuple({.in_parentheses = true});
    expect_symbol(")");
    return node;
  }
  if (lexeme.is_symbol("[")) return list();
  if (lexeme.is_symbol("{")) return dict();
  malformed(lexeme.described() + " where a value is expected");
}

NodePtr ExpressionParser::name(bool namespace_target) {
  const Lexeme lexeme = take();
  const auto& text = lexeme.text;
  if (text == "true" || text == "True" || text == "false" || text == "False") {
    return make<Constant>(lexeme.line, Value::boolean(text[0] == 't' || text[0] == 'T'));
  }
  if (text == "none" || text == "None") return make<Constant>(lexeme.line, Value::none());
  if (namespace_target && take_symbol(".")) {
    return make<NamespaceTarget>(lexeme.line, text, expect_name());
  }
  return make<Name>(lexeme.line, text);
}

NodePtr ExpressionParser::string() {
  const int line = current().line;
  std::string text;
  while (current().kind == Kind::string) text += take().text;
  return make<Constant>(line, Value::text(std::move(text)));
}

NodePtr ExpressionParser::list() {
  auto node = std::make_unique<Sequence>(take().line, false);
  while (!current().is_symbol("]")) {
    if (!node->items.empty()) expect_symbol(",");
    if (current().is_symbol("]")) break;
    node->items.push_back(expression());
  }
  expect_symbol("]");
  return finish(std::move(node));
}

NodePtr ExpressionParser::dict() {
  auto node = std::make_unique<DictLiteral>(take().line);
  while (!current().is_symbol("}")) {
    if (!node->items.empty()) expect_symbol(",");
    if (current().is_symbol("}")) break;
    NodePtr key = expression();
    expect_symbol(":");
    node->items.emplace_back(std::move(key), expression());
  }
  expect_symbol("}");
  return finish(std::move(node));
}

NodePtr ExpressionParser::tuple(const TupleForm& form) {
  const Level level(*this);
  auto node = std::make_unique<Sequence>(current().line, true);
  const auto at_end = [&] {
    return current().kind == Kind::variable_end || current().kind == Kind::block_end ||
           current().is_symbol(")") || (!form.end.empty() && current().is_name(form.end));
  };
  bool several = false;
  for (;;) {
    if (!node->items.empty()) expect_symbol(",");
    if (at_end()) break;
    node->items.push_back(form.target ? primary(form.namespace_target)
                                      : expression(form.with_conditional));
    if (!current().is_symbol(",")) break;
    several = true;
  }
  if (!several) {
    if (!node->items.empty()) return std::move(node->items.front());
    if (!form.in_parentheses) {
      malformed(current().described() + " where an expression is expected");
    }
  }
  return finish(std::move(node));
}

void ExpressionParser::make_target(Node& node) {
  if (node.kind == Node::Kind::name) {
    static_cast<Name&>(node).use = Name::Use::store;
  } else if (node.kind == Node::Kind::sequence && static_cast<Sequence&>(node).tuple) {
    for (auto& item : static_cast<Sequence&>(node).items) make_target(*item);
  } else if (node.kind != Node::Kind::namespace_target) {
    refuse(base::Fault::corrupt_file, node.line, "this cannot be assigned to");
  }
}

NodePtr ExpressionParser::assignment_target(std::string_view end, bool namespaces) {
  NodePtr node = tuple({.end = end, .target = true, .namespace_target = namespaces});
  make_target(*node);
  return node;
}

NodePtr ExpressionParser::parameter_name() {
  const int line = current().line;
  auto node = std::make_unique<Name>(line, expect_name());
  node->use = Name::Use::parameter;
  for (const std::string_view word : {"true", "false", "none", "True", "False", "None"}) {
    if (node->name == word) malformed("'" + node->name + "' cannot be assigned to");
  }
  return finish(std::move(node));
}

}  // namespace malina::text::jinja
