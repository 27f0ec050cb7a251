// Template source to lexemes, by Jinja2's own rules (jinja2/lexer.py with trim_blocks and
// lstrip_blocks on and the last newline dropped).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace malina::text::jinja {

// Wide enough for every number of a JSON document that nlohmann::json keeps whole.
__extension__ typedef __int128 Integer;

// "chat template, line 12: ..."
[[noreturn]] void refuse(base::Fault fault, int line, const std::string& message);

struct Lexeme {
  enum class Kind {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    symbol,  // an operator or a bracket
    end,
  };
  Kind kind = Kind::end;
  int line = 1;
  std::string text = {};  // of a string: with its escapes resolved
  Integer integer = 0;
  double real = 0;

  bool is(Kind wanted, std::string_view value) const { return kind == wanted && text == value; }
  bool is_name(std::string_view value) const { return is(Kind::name, value); }
  bool is_symbol(std::string_view value) const { return is(Kind::symbol, value); }
  std::string described() const;
};

// Ends with one lexeme of kind `end`. Throws base::Error (corrupt_file, or unsupported where Python
// would read something that is not read here) with the line.
std::vector<Lexeme> lex(std::string_view source);

}  // namespace malina::text::jinja
