// The expressions of the grammar, lowest precedence first.
#pragma once

#include <string_view>

#include "text/jinja_parser_base.h"

namespace malina::text::jinja {

class ExpressionParser : public ParserBase {
 public:
  using ParserBase::ParserBase;

 protected:
  NodePtr expression(bool with_conditional = true);
  // One expression, or several with commas between them. `end`: a name that ends a tuple.
  struct TupleForm {
    bool with_conditional = true;
    std::string_view end = {};
    bool in_parentheses = false;  // may be empty
    bool target = false;          // names and literals only
    bool namespace_target = false;
  };
  NodePtr tuple(const TupleForm& form);
  // The filters that stand at `|`; `subject` is null in a filter block. `at_name`: the first has no
  // bar before it.
  NodePtr filters(NodePtr subject, bool at_name = false);
  NodePtr assignment_target(std::string_view end = {}, bool namespaces = false);
  NodePtr parameter_name();

 private:
  NodePtr disjunction();
  NodePtr conjunction();
  NodePtr negation();
  NodePtr comparison();
  NodePtr sum();
  NodePtr concatenation();
  NodePtr product();
  NodePtr power();
  NodePtr unary(bool with_filters = true);
  NodePtr primary(bool namespace_target = false);
  NodePtr name(bool namespace_target);
  NodePtr string();
  NodePtr list();
  NodePtr dict();
  void make_target(Node& node);

  // In jinja_postfix_parser.cpp, with filters().
  NodePtr postfix(NodePtr node);
  NodePtr filters_and_tests(NodePtr node);
  NodePtr dot(NodePtr node);
  NodePtr subscript(NodePtr node);
  NodePtr call(NodePtr node);
  NodePtr test(NodePtr node);
  ArgumentNodes arguments();
  ArgumentNodes test_arguments();
  std::string dotted_name();
  void check_method(const Node& receiver, int line, const std::string& method) const;
};

}  // namespace malina::text::jinja
