#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <array>
#include <initializer_list>

#include "text/jinja_expression_parser.h"

namespace malina::text::jinja {

void ParserBase::expect_symbol(std::string_view symbol) {
  if (!take_symbol(symbol)) {
    malformed(fmt::format("{} where '{}' is expected", current().described(), symbol));
  }
}

std::string ParserBase::expect_name() {
  if (current().kind != Kind::name) {
    malformed(current().described() + " where a name is expected");
  }
  return take().text;
}

void ParserBase::expect_name(std::string_view name) {
  if (!take_name(name)) {
    malformed(fmt::format("{} where '{}' is expected", current().described(), name));
  }
}

void ParserBase::expect(Kind kind, std::string_view shown) {
  if (current().kind != kind) {
    malformed(fmt::format("{} where '{}' is expected", current().described(), shown));
  }
  take();
}

void ParserBase::too_deep(int line) const {
  refuse(base::Fault::unsupported, line,
         fmt::format("the template nests deeper than {} levels", kMaximumTreeDepth));
}

namespace {

using Names = std::initializer_list<std::string_view>;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Nodes run() { return body({}); }

 private:
  Nodes body(Names end);
  Nodes statements(Names end);
  NodePtr statement();
  NodePtr set();
  NodePtr loop();
  NodePtr branch();
  NodePtr macro();
  NodePtr generation();
  NodePtr filter_block();
  NodePtr with();
  NodePtr print();
  NodePtr jump();

  struct Tag {
    std::string_view name;
    NodePtr (Parser::*parse)();
  };
  static const std::array<Tag, 10> kTags;

  int loops_ = 0;  // around this place, in the same function
};

const std::array<Parser::Tag, 10> Parser::kTags = {{{"set", &Parser::set},
                                                    {"for", &Parser::loop},
                                                    {"if", &Parser::branch},
                                                    {"macro", &Parser::macro},
                                                    {"generation", &Parser::generation},
                                                    {"filter", &Parser::filter_block},
                                                    {"with", &Parser::with},
                                                    {"print", &Parser::print},
                                                    {"break", &Parser::jump},
                                                    {"continue", &Parser::jump}}};

// Up to a tag that is in `end`, which is the current lexeme afterwards; up to the end of the
// template where `end` is empty.
Nodes Parser::body(Names end) {
  const Level level(*this);
  Nodes result;
  std::unique_ptr<Output> output;
  const auto part = [&](NodePtr node) {
    if (!output) output = std::make_unique<Output>(node->line);
    output->parts.push_back(std::move(node));
  };
  const auto flush = [&] {
    if (output) result.push_back(finish(std::move(output)));
  };
  while (current().kind != Kind::end) {
    if (current().kind == Kind::data) {
      Lexeme data = take();
      part(make<Constant>(data.line, Value::text(std::move(data.text))));
    } else if (current().kind == Kind::variable_begin) {
      take();
      part(tuple({}));
      expect(Kind::variable_end, "}}");
    } else {
      flush();
      expect(Kind::block_begin, "{%");
      for (const auto name : end) {
        if (current().is_name(name)) return result;
      }
      result.push_back(statement());
      expect(Kind::block_end, "%}");
    }
  }
  flush();
  if (end.size() > 0) {
    malformed(fmt::format("the template ends where '{}' is expected", *(end.end() - 1)));
  }
  return result;
}

Nodes Parser::statements(Names end) {
  take_symbol(":");
  expect(Kind::block_end, "%}");
  return body(end);
}

NodePtr Parser::statement() {
  const Lexeme& tag = current();
  if (tag.kind != Kind::name) malformed(tag.described() + " where the name of a tag is expected");
  for (const auto& known : kTags) {
    if (tag.text == known.name) return (this->*known.parse)();
  }
  const bool closes = tag.text.starts_with("end") || tag.text == "else" || tag.text == "elif";
  if (closes) malformed("'" + tag.text + "' closes nothing here");
  unsupported(tag.line, "tag '" + tag.text + "' is not supported");
}

NodePtr Parser::set() {
  const int line = take().line;
  NodePtr target = assignment_target({}, true);
  if (take_symbol("=")) {
    auto node = std::make_unique<Set>(line, std::move(target));
    node->value = tuple({});
    return finish(std::move(node));
  }
  auto node = std::make_unique<SetBlock>(line, std::move(target));
  node->filter = filters(nullptr);
  node->body = statements({"endset"});
  take();
  return finish(std::move(node));
}

NodePtr Parser::loop() {
  const int line = take().line;
  auto node = std::make_unique<Loop>(line, assignment_target("in"));
  expect_name("in");
  node->iterable = tuple({.with_conditional = false, .end = "recursive"});
  if (take_name("if")) node->condition = expression();
  if (current().is_name("recursive")) {
    unsupported(line, "a recursive 'for' is not supported");
  }
  ++loops_;
  node->body = statements({"else", "endfor"});
  --loops_;
  if (take().text == "else") {
    node->otherwise = statements({"endfor"});
    take();
  }
  return finish(std::move(node));
}

NodePtr Parser::branch() {
  auto node = std::make_unique<Branch>(take().line);
  for (;;) {
    NodePtr condition = tuple({.with_conditional = false});
    node->cases.emplace_back(std::move(condition), statements({"elif", "else", "endif"}));
    const Lexeme tag = take();
    if (tag.text == "elif") continue;
    if (tag.text == "else") {
      node->otherwise = statements({"endif"});
      take();
    }
    return finish(std::move(node));
  }
}

NodePtr Parser::macro() {
  auto node = std::make_unique<Macro>(take().line);
  node->name = static_cast<const Name&>(*parameter_name()).name;
  expect_symbol("(");
  while (!current().is_symbol(")")) {
    if (!node->parameters.empty()) expect_symbol(",");
    node->parameters.push_back(parameter_name());
    const auto& name = static_cast<const Name&>(*node->parameters.back()).name;
    for (std::size_t i = 0; i + 1 < node->parameters.size(); ++i) {
      if (static_cast<const Name&>(*node->parameters[i]).name == name) {
        malformed("the parameter '" + name + "' stands twice");
      }
    }
    if (take_symbol("=")) {
      node->defaults.push_back(expression());
    } else if (!node->defaults.empty()) {
      malformed("a parameter without a default follows one with a default");
    }
  }
  expect_symbol(")");
  const int loops = std::exchange(loops_, 0);
  node->body = statements({"endmacro"});
  loops_ = loops;
  take();
  return finish(std::move(node));
}

NodePtr Parser::generation() {
  auto node = std::make_unique<Generation>(take().line);
  const int loops = std::exchange(loops_, 0);
  node->body = statements({"endgeneration"});
  loops_ = loops;
  take();
  return finish(std::move(node));
}

NodePtr Parser::filter_block() {
  auto node = std::make_unique<FilterBlock>(take().line);
  node->filter = filters(nullptr, true);
  node->body = statements({"endfilter"});
  take();
  return finish(std::move(node));
}

NodePtr Parser::with() {
  auto node = std::make_unique<With>(take().line);
  while (current().kind != Kind::block_end) {
    if (!node->targets.empty()) expect_symbol(",");
    node->targets.push_back(assignment_target());
    // Jinja2 binds them like the parameters of a macro.
    expect_symbol("=");
    node->values.push_back(expression());
  }
  node->body = statements({"endwith"});
  take();
  return finish(std::move(node));
}

NodePtr Parser::print() {
  auto node = std::make_unique<Output>(take().line);
  while (current().kind != Kind::block_end) {
    if (!node->parts.empty()) expect_symbol(",");
    node->parts.push_back(expression());
  }
  return finish(std::move(node));
}

NodePtr Parser::jump() {
  const Lexeme tag = take();
  if (loops_ == 0) malformed("'" + tag.text + "' stands outside of a loop");
  return make<Jump>(tag.line, tag.text == "break");
}

}  // namespace

Tree parse(std::string_view source) {
  Tree tree;
  tree.body = Parser(source).run();
  return tree;
}

}  // namespace malina::text::jinja
