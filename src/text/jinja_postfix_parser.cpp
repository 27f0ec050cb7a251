// What follows a value in an expression: attributes, indexes, calls, filters and tests.
#include <fmt/format.h>

#include "text/jinja_expression_parser.h"
#include "text/jinja_filters.h"
#include "text/jinja_methods.h"

namespace malina::text::jinja {

NodePtr ExpressionParser::postfix(NodePtr node) {
  for (;;) {
    if (current().is_symbol(".")) {
      node = dot(std::move(node));
    } else if (current().is_symbol("[")) {
      node = subscript(std::move(node));
    } else if (current().is_symbol("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

NodePtr ExpressionParser::filters_and_tests(NodePtr node) {
  for (;;) {
    if (current().is_symbol("|")) {
      node = filters(std::move(node));
    } else if (current().is_name("is")) {
      node = test(std::move(node));
    } else if (current().is_symbol("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

NodePtr ExpressionParser::dot(NodePtr node) {
  const int line = take().line;
  const Lexeme attribute = take();
  if (attribute.kind == Kind::name) {
    return make<Attribute>(line, std::move(node), attribute.text);
  }
  if (attribute.kind != Kind::integer) {
    refuse(base::Fault::corrupt_file, attribute.line, "a name or a number is expected after '.'");
  }
  return make<Item>(line, std::move(node),
                    make<Constant>(attribute.line, Value::integer(attribute.integer)));
}

NodePtr ExpressionParser::subscript(NodePtr node) {
  const int line = take().line;
  NodePtr first;
  if (!current().is_symbol(":")) {
    if (current().is_symbol("]")) {  // Python: an empty tuple as a key
      take();
      return make<Item>(line, std::move(node), make<Sequence>(line, true));
    }
    first = expression();
  }
  if (current().is_symbol(",")) unsupported(line, "an index of several parts is not supported");
  if (!take_symbol(":")) {
    expect_symbol("]");
    return make<Item>(line, std::move(node), std::move(first));
  }
  auto slice = std::make_unique<SliceOf>(line, std::move(node));
  slice->start = std::move(first);
  const auto bound = [&]() -> NodePtr {
    if (current().is_symbol(":") || current().is_symbol("]") || current().is_symbol(",")) {
      return nullptr;
    }
    return expression();
  };
  slice->stop = bound();
  if (take_symbol(":")) slice->step = bound();
  if (current().is_symbol(",")) unsupported(line, "an index of several parts is not supported");
  expect_symbol("]");
  return finish(std::move(slice));
}

NodePtr ExpressionParser::call(NodePtr node) {
  const int line = current().line;
  if (node->kind == Node::Kind::attribute) {
    const auto& attribute = static_cast<const Attribute&>(*node);
    check_method(*attribute.object, line, attribute.name);
  }
  auto result = std::make_unique<Call>(line, std::move(node));
  result->arguments = arguments();
  return finish(std::move(result));
}

// Where the type of the receiver shows in the source, an unknown method shows before anything runs.
void ExpressionParser::check_method(const Node& receiver, int line,
                                    const std::string& method) const {
  Type type = Type::missing;
  if (receiver.kind == Node::Kind::constant) {
    type = static_cast<const Constant&>(receiver).value.type();
  } else if (receiver.kind == Node::Kind::sequence) {
    type = static_cast<const Sequence&>(receiver).tuple ? Type::tuple : Type::list;
  } else if (receiver.kind == Node::Kind::dict) {
    type = Type::dict;
  } else {
    return;
  }
  if (find_method(type, method).support != MethodSupport::supported) {
    unsupported(line, fmt::format("method '{}' is not supported there", method));
  }
}

ArgumentNodes ExpressionParser::arguments() {
  ArgumentNodes result;
  const int line = current().line;
  expect_symbol("(");
  bool comma = false;
  while (!current().is_symbol(")")) {
    if (comma) {
      expect_symbol(",");
      if (current().is_symbol(")")) break;
    }
    if (current().is_symbol("*") || current().is_symbol("**")) {
      unsupported(line, "unpacking arguments with '*' is not supported");
    }
    if (current().kind == Kind::name && ahead().is_symbol("=")) {
      std::string key = take().text;
      take();
      for (const auto& [name, value] : result.named) {
        if (name == key) malformed("the argument '" + key + "' is given twice");
      }
      result.named.emplace_back(std::move(key), expression());
    } else {
      if (!result.named.empty()) malformed("an argument without a name follows one with a name");
      result.positional.push_back(expression());
    }
    comma = true;
  }
  expect_symbol(")");
  return result;
}

std::string ExpressionParser::dotted_name() {
  std::string result = expect_name();
  while (take_symbol(".")) result += "." + expect_name();
  return result;
}

NodePtr ExpressionParser::filters(NodePtr subject, bool at_name) {
  while (current().is_symbol("|") || at_name) {
    if (!at_name) take();
    at_name = false;
    auto node = std::make_unique<Filter>(current().line);
    const std::string name = dotted_name();
    node->function = find_filter(name);
    if (node->function == nullptr) {
      unsupported(node->line, fmt::format("filter '{}' is not supported", name));
    }
    if (current().is_symbol("(")) node->arguments = arguments();
    node->subject = std::move(subject);
    check_named_function(*node, name);
    subject = finish(std::move(node));
  }
  return subject;
}

ArgumentNodes ExpressionParser::test_arguments() {
  if (current().is_symbol("(")) return arguments();
  ArgumentNodes result;
  const bool value = current().kind == Kind::name || current().kind == Kind::string ||
                     current().kind == Kind::integer || current().kind == Kind::real ||
                     current().is_symbol("[") || current().is_symbol("{");
  if (value && !current().is_name("else") && !current().is_name("or") &&
      !current().is_name("and")) {
    if (current().is_name("is")) malformed("several tests cannot follow one another with 'is'");
    result.positional.push_back(postfix(primary()));
  }
  return result;
}

NodePtr ExpressionParser::test(NodePtr subject) {
  const int line = take().line;
  const bool negated = take_name("not");
  auto node = std::make_unique<Test>(line, std::move(subject));
  const std::string name = dotted_name();
  node->function = find_test(name);
  if (node->function == nullptr) {
    unsupported(line, fmt::format("test '{}' is not supported", name));
  }
  node->arguments = test_arguments();
  NodePtr result = finish(std::move(node));
  if (negated) result = make<Unary>(line, Unary::Operator::negation, std::move(result));
  return result;
}

}  // namespace malina::text::jinja
