// What the two halves of the parser share: the stream of lexemes, and nodes with a bounded depth.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"
#include "text/jinja_parser.h"

namespace malina::text::jinja {

class ParserBase {
 public:
  explicit ParserBase(std::string_view source) : lexemes_(lex(source)) {}

 protected:
  using Kind = Lexeme::Kind;

  const Lexeme& current() const { return lexemes_[position_]; }
  const Lexeme& ahead() const { return lexemes_[std::min(position_ + 1, lexemes_.size() - 1)]; }
  Lexeme take() {
    Lexeme taken = current();
    if (position_ + 1 < lexemes_.size()) ++position_;
    return taken;
  }
  bool take_name(std::string_view name) {
    if (!current().is_name(name)) return false;
    take();
    return true;
  }
  bool take_symbol(std::string_view symbol) {
    if (!current().is_symbol(symbol)) return false;
    take();
    return true;
  }
  void expect_symbol(std::string_view symbol);
  std::string expect_name();
  void expect_name(std::string_view name);
  void expect(Kind kind, std::string_view shown);

  [[noreturn]] void malformed(const std::string& message) const {
    refuse(base::Fault::corrupt_file, current().line, message);
  }
  [[noreturn]] void unsupported(int line, const std::string& message) const {
    refuse(base::Fault::unsupported, line, message);
  }

  // Every node is finished here, when its children are in place.
  template <typename T>
  NodePtr finish(std::unique_ptr<T> node) {
    node->children([&](Node* child) {
      if (child != nullptr) node->depth = std::max(node->depth, child->depth + 1);
    });
    if (node->depth > kMaximumTreeDepth) too_deep(node->line);
    return node;
  }
  template <typename T, typename... Arguments>
  NodePtr make(Arguments&&... arguments) {
    return finish(std::make_unique<T>(std::forward<Arguments>(arguments)...));
  }

  class Level {  // bounds the parser's own recursion
   public:
    explicit Level(ParserBase& parser) : parser_(parser) {
      if (++parser_.level_ > kMaximumTreeDepth) parser_.too_deep(parser_.current().line);
    }
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ParserBase& parser_;
  };

 private:
  [[noreturn]] void too_deep(int line) const;

  std::vector<Lexeme> lexemes_;
  std::size_t position_ = 0;
  int level_ = 0;
};

}  // namespace malina::text::jinja
