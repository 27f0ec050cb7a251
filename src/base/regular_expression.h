// Regular expressions of foreign origin, in the dialect of Python's re, on short texts: the time is
// bounded by the product of the two lengths, whatever the expression.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace malina::base {

// Bytes, not characters. There are alternatives, groups (also named and not capturing), classes,
// \d \w \s \b and their opposites, the anchors, all quantifiers and lookahead. Immutable; safe on
// many threads.
class RegularExpression {
 public:
  // Throws base::Error: invalid_argument where the expression is not one, unsupported where it
  // holds a reference back, a lookbehind, flags or a condition, or grows beyond what is bounded.
  // The message quotes the expression.
  explicit RegularExpression(std::string_view pattern);

  // As Python's re.fullmatch() is not None. Texts beyond 4096 bytes throw unsupported.
  bool matches(std::string_view text) const;

 private:
  friend class RegularExpressionCompiler;
  struct Instruction {
    enum class Kind : std::uint8_t {
      byte_class,  // one byte of classes_[operand]
      split,       // next and `operand`
      jump,        // to `operand`
      begin,       // asserts the text's begin, its end, a word's edge or that there is none
      end,
      edge,
      no_edge,
      ahead,  // what follows matches the program behind this until `found`; then on at `operand`
      not_ahead,
      found,
    };
    Kind kind;
    std::uint32_t operand = 0;
  };
  using Class = std::vector<bool>;  // of 256

  bool run(std::string_view text, std::uint32_t start, std::size_t position, bool whole) const;

  std::string pattern_;
  std::vector<Instruction> program_;
  std::vector<Class> classes_;
};

}  // namespace malina::base
